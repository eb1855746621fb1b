import { existsSync } from "node:fs";
import path from "node:path";
import type { z } from "zod";
import { readConfigFile } from "./file.ts";
import { findKeysFile } from "./keys-file.ts";
import { ownFunctionsDir } from "./installation.ts";
import { findInCatalogue } from "./model-catalogue.ts";
import { nearest } from "./nearest.ts";
import { ConfigError, exitCodes } from "./problems.ts";
import { configSchema, type Config, type Settings } from "./schema.ts";
import { describeValue, listSections, listSettings, type Setting } from "./settings.ts";
import { readEnvironment, readFlags, readGiven, suggest, type Assignment } from "./sources.ts";

export interface ConfigSources {
  /** Flags of settings, and `--config FILE`. */
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Relative paths in flags and variables, and the search for `embedge.toml`, start here. */
  readonly cwd: string;
}

export interface LoadedConfig {
  readonly config: Config;
  /** The file that was read. */
  readonly file: string | undefined;
  /** For each setting: "default", the file, the variable or the flag it came from. */
  readonly origins: ReadonlyMap<string, string>;
}

type Values = Record<string, unknown>;

const FILE_NAME = "embedge.toml";

/**
 * The settings in force: defaults < file < environment < flags. Throws one ConfigError with every problem there is.
 *
 * The file is that of `--config`, else of EMBEDGE_CONFIG, else `embedge.toml` in `cwd` if there is one.
 */
export function loadConfig(sources: ConfigSources): LoadedConfig {
  const settings = listSettings();
  const flags = readFlags(sources.args, settings);
  const file = findFile(flags.file ?? sources.env["EMBEDGE_CONFIG"], sources.cwd);
  const environment = readEnvironment(sources.env, settings);
  const assignments = [...environment.assignments, ...flags.assignments];
  const settled = settle({ settings, file, assignments, cwd: sources.cwd });
  const configProblems = [...environment.problems, ...settled.problems];
  const problems = [...flags.problems, ...configProblems];
  if (settled.config === undefined || problems.length > 0) {
    throw new ConfigError(problems, configProblems.length === 0 ? exitCodes.usage : exitCodes.config);
  }
  const config = withKeysFile(settled.config, file === undefined ? sources.cwd : path.dirname(file));
  return { config, file, origins: settled.origins };
}

/** The settings of a program: defaults < its `configFile` < what it gives. Throws one ConfigError with every problem there is. */
export function settleSettings({ configFile, ...given }: Settings, cwd: string): Config {
  const settings = listSettings();
  const file = configFile === undefined ? undefined : path.resolve(cwd, configFile);
  const { assignments, problems } = readGiven(given, settings);
  const settled = settle({ settings, file, assignments, cwd });
  const all = [...problems, ...settled.problems];
  if (settled.config === undefined || all.length > 0) throw new ConfigError(all, exitCodes.config);
  // A program that names no file of settings has no folder in which to look for one of keys.
  return withKeysFile(settled.config, file === undefined ? undefined : path.dirname(file));
}

interface SettleInput {
  readonly settings: readonly Setting[];
  readonly file: string | undefined;
  /** Stronger than the file; of two for one setting the later one counts. */
  readonly assignments: readonly Assignment[];
  readonly cwd: string;
}

interface Settled {
  /** Undefined where there are problems. */
  readonly config: Config | undefined;
  readonly problems: readonly string[];
  readonly origins: ReadonlyMap<string, string>;
}

function settle({ settings, file, assignments, cwd }: SettleInput): Settled {
  const values: Values = file === undefined ? {} : structuredClone(readConfigFile(file));
  const origins = new Map(
    settings.map(({ path: at }) => [at, valueAt(values, ...at.split(".")) === undefined ? "default" : (file ?? "")]),
  );
  for (const assignment of assignments) {
    assign(values, assignment);
    origins.set(assignment.setting.path, assignment.origin);
  }
  const parsed = configSchema.safeParse(values);
  if (!parsed.success) {
    const context = { values, settings, origins, file };
    return {
      config: undefined,
      problems: parsed.error.issues.flatMap((issue) => describeIssue(issue, context)),
      origins,
    };
  }
  const fileDir = file === undefined ? cwd : path.dirname(file);
  const given = new Set(assignments.map(({ setting }) => setting.path));
  const resolved = resolvePaths(parsed.data, (at) => (given.has(at) ? cwd : fileDir));
  const isAsked = origins.get("functions.dir") !== "default";
  return { config: isAsked ? resolved : withOwnFunctions(resolved), problems: [], origins };
}

function findFile(named: string | undefined, cwd: string): string | undefined {
  if (named !== undefined) return path.resolve(cwd, named);
  const usual = path.join(cwd, FILE_NAME);
  return existsSync(usual) ? usual : undefined;
}

function assign(values: Values, { setting, value }: Assignment): void {
  const [section = "", key] = setting.path.split(".");
  const current = valueAt(values, section, ...(key === undefined ? [] : [key]));
  // Entries of a table are added to those of the file, so that one more name needs no repetition of all.
  const merged = setting.kind === "table" && isTable(value) && isTable(current) ? { ...current, ...value } : value;
  if (key === undefined) {
    values[section] = merged;
  } else {
    values[section] = { ...(isTable(values[section]) ? values[section] : {}), [key]: merged };
  }
}

/** Makes paths absolute: those of the file start at the file, those of flags and variables at the working directory. */
function resolvePaths(config: Config, baseOf: (settingPath: string) => string): Config {
  const resolve = (at: string, value: string): string => path.resolve(baseOf(at), value);
  const isPath = (value: string): boolean => value.includes("/") || value.startsWith(".");
  const { functions, models, pool, projects, server } = config;
  const hasKeys = server.keysFile !== "auto" && server.keysFile !== "none";
  return {
    ...config,
    server: { ...server, keysFile: hasKeys ? resolve("server.keysFile", server.keysFile) : server.keysFile },
    functions: { ...functions, dir: resolve("functions.dir", functions.dir) },
    projects: Object.fromEntries(Object.entries(projects).map(([name, folder]) => [name, resolve("projects", folder)])),
    models: {
      ...models,
      default: isPath(models.default)
        ? modelOrFolder(models.default, resolve("models.default", models.default))
        : models.default,
      dir: models.dir === "auto" ? models.dir : resolve("models.dir", models.dir),
    },
    pool: {
      ...pool,
      python: isPath(pool.python) ? resolve("pool.python", pool.python) : pool.python,
      blas: isPath(pool.blas) ? resolve("pool.blas", pool.blas) : pool.blas,
    },
  };
}

/** `owner/name` may be a model of a hub or a folder: where there is such a folder, it is that. */
function modelOrFolder(value: string, folder: string): string {
  return findInCatalogue(value) === undefined || existsSync(folder) ? folder : value;
}

function withKeysFile(config: Config, folder: string | undefined): Config {
  const { server } = config;
  if (server.keysFile !== "auto") return config;
  return { ...config, server: { ...server, keysFile: folder === undefined ? "none" : findKeysFile(folder) } };
}

/** Where nobody asks for a folder and the usual one does not exist, the functions that come with embedge answer. */
function withOwnFunctions(config: Config): Config {
  return existsSync(config.functions.dir)
    ? config
    : { ...config, functions: { ...config.functions, dir: ownFunctionsDir } };
}

interface IssueContext {
  readonly values: Values;
  readonly settings: readonly Setting[];
  readonly origins: ReadonlyMap<string, string>;
  readonly file: string | undefined;
}

/** One sentence for each wrong value or unknown key. Never quotes the value of a secret. */
function describeIssue(issue: z.core.$ZodIssue, { values, settings, origins, file }: IssueContext): readonly string[] {
  const at = issue.path.join(".");
  if (issue.code === "unrecognized_keys") {
    const known = [...settings.map((setting) => setting.path), ...listSections().map((section) => section.name)];
    return issue.keys.map((key) => {
      const full = at === "" ? key : `${at}.${key}`;
      return `${file ?? ""}: ${full}: no such setting${suggest(nearest(full, known))}.`;
    });
  }
  const setting = settings.find(({ path: candidate }) => at === candidate || at.startsWith(`${candidate}.`));
  if (setting === undefined) return [`${file ?? ""}: ${at}: must be a section, [${at}].`];
  const origin = origins.get(setting.path) ?? "default";
  const isGiven = origin !== file && origin !== "default";
  const place = isGiven
    ? `${origin}${at.slice(setting.path.length).replace(".", ": ")}`
    : `${file ?? "settings"}: ${at}`;
  if (issue.code === "custom") return [`${place}: ${issue.message}`];
  const isEntry = at !== setting.path;
  const shown = setting.secret ? "" : `, not ${show(valueAt(values, ...issue.path))}`;
  return [`${place}: must be ${isEntry ? "a text" : describeValue(setting)}${shown}.`];
}

function show(value: unknown): string {
  const text = JSON.stringify(value) ?? "nothing";
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}

function valueAt(values: unknown, ...keys: readonly PropertyKey[]): unknown {
  let value = values;
  for (const key of keys) value = typeof value === "object" && value !== null ? Reflect.get(value, key) : undefined;
  return value;
}

function isTable(value: unknown): value is Values {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date);
}
