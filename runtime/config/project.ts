import { existsSync } from "node:fs";
import path from "node:path";
import { readLocalVars } from "./local-vars.ts";
import { ConfigError, exitCodes } from "./problems.ts";
import { findWranglerFile, readWranglerFile, type Route, type WranglerFile } from "./wrangler-file.ts";

/** A Workers project on disk, as far as it is served here. */
export interface Project extends Declared {
  readonly name: string;
  readonly routes: readonly string[];
  /** The folder of its functions; it stands above `scriptPath`, which only wrangler needs then. */
  readonly functions: string | undefined;
  /** Its `main`. */
  readonly scriptPath: string | undefined;
}

/** What a wrangler configuration declares for a Worker that runs here. */
export interface Declared {
  /** Its variables. */
  readonly bindings: Readonly<Record<string, unknown>>;
  /** The name of `env.AI`. */
  readonly ai: string | undefined;
  readonly crons: readonly string[];
  /** Set where a binding, or a queue that it consumes, needs workerd. */
  readonly local: LocalDeclared | undefined;
}

export interface LocalDeclared {
  readonly configFile: string;
  /** What was read there. */
  readonly text: string;
  readonly environment: string | undefined;
  /** The names of its bindings. */
  readonly names: readonly string[];
}

type Variables = Readonly<Record<string, string | undefined>>;

/** Reads the wrangler configuration of a folder. Throws a ConfigError that names what is missing or wrong. */
export function readProject(name: string, folder: string, processEnv: Variables): Project {
  const configFile = findWranglerFile(folder);
  if (configFile === undefined) {
    throw new ConfigError([`projects.${name}: ${folder} has no wrangler.toml, .json or .jsonc.`], exitCodes.noInput);
  }
  const file = readWranglerFile(configFile, environmentOf(processEnv));
  const functions = path.join(folder, "functions");
  const hasFunctions = existsSync(functions);
  if (!hasFunctions && file.main === undefined) {
    throw new ConfigError([`${configFile}: no \`main\`, and no folder functions beside it.`], exitCodes.config);
  }
  return {
    name,
    routes: file.routes.map(toPattern),
    functions: hasFunctions ? functions : undefined,
    scriptPath: hasFunctions || file.main === undefined ? undefined : path.resolve(folder, file.main),
    ...declaredIn(file, processEnv),
  };
}

/** What is declared for the functions of a folder, in the wrangler configuration beside it; nothing where there is none. */
export function readDeclared(functionsDir: string, processEnv: Variables): Declared {
  const configFile = findWranglerFile(path.dirname(functionsDir));
  if (configFile === undefined) return { bindings: {}, ai: undefined, crons: [], local: undefined };
  return declaredIn(readWranglerFile(configFile, environmentOf(processEnv)), processEnv);
}

function declaredIn(file: WranglerFile, processEnv: Variables): Declared {
  const needsWorkerd = file.bindings.length > 0 || file.hasConsumers;
  return {
    bindings: readLocalVars(file, processEnv),
    ai: file.ai,
    crons: file.crons,
    local: needsWorkerd
      ? { configFile: file.file, text: file.text, environment: file.environment, names: file.bindings }
      : undefined,
  };
}

/** `[env.NAME]` is chosen with wrangler's own variable. */
function environmentOf(processEnv: Variables): string | undefined {
  const name = processEnv["CLOUDFLARE_ENV"];
  return name === "" ? undefined : name;
}

/** A custom domain is a host with all its paths. */
function toPattern(given: Route): string {
  if (typeof given === "string") return given;
  return given.custom_domain === true ? `${given.pattern}/*` : given.pattern;
}
