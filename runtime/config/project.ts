import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { z } from "zod";
import { readConfigFile } from "./file.ts";
import { ConfigError, exitCodes, fileProblem } from "./problems.ts";

/** A Workers project on disk, as far as it is served here. */
export interface Project {
  readonly name: string;
  readonly routes: readonly string[];
  /** The folder of its functions; it stands above `scriptPath`, which only wrangler needs then. */
  readonly functions: string | undefined;
  /** Its `main`. */
  readonly scriptPath: string | undefined;
  readonly bindings: Readonly<Record<string, unknown>>;
}

const route = z.union([z.string(), z.looseObject({ pattern: z.string(), custom_domain: z.boolean().optional() })]);

/** What is read of wrangler's configuration; the rest is wrangler's business. */
const wranglerSchema = z.looseObject({
  main: z.string().optional(),
  route: route.optional(),
  routes: z.array(route).default([]),
  vars: z.record(z.string(), z.unknown()).default({}),
});

const FILE_NAMES = ["wrangler.toml", "wrangler.json"];

/** Reads `wrangler.toml` or `wrangler.json` of a folder. Throws a ConfigError that names what is missing or wrong. */
export function readProject(name: string, folder: string): Project {
  const file = FILE_NAMES.map((fileName) => path.join(folder, fileName)).find((candidate) => existsSync(candidate));
  if (file === undefined) {
    throw new ConfigError([`projects.${name}: ${folder} has no ${FILE_NAMES.join(" and no ")}.`], exitCodes.noInput);
  }
  const parsed = wranglerSchema.safeParse(file.endsWith(".json") ? readJson(file) : readConfigFile(file));
  if (!parsed.success) {
    const problems = parsed.error.issues.map(({ path: at, message }) => `${file}: ${at.join(".")}: ${message}.`);
    throw new ConfigError(problems, exitCodes.config);
  }
  const { main, vars, routes, route: single } = parsed.data;
  const functions = path.join(folder, "functions");
  const hasFunctions = existsSync(functions);
  if (!hasFunctions && main === undefined) {
    throw new ConfigError([`${file}: no \`main\`, and no folder functions beside it.`], exitCodes.config);
  }
  return {
    name,
    routes: [...(single === undefined ? [] : [single]), ...routes].map(toPattern),
    functions: hasFunctions ? functions : undefined,
    scriptPath: hasFunctions || main === undefined ? undefined : path.resolve(folder, main),
    bindings: vars,
  };
}

/** A custom domain is a host with all its paths. */
function toPattern(given: z.output<typeof route>): string {
  if (typeof given === "string") return given;
  return given.custom_domain === true ? `${given.pattern}/*` : given.pattern;
}

function readJson(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw fileProblem(file, error);
    throw new ConfigError([`${file}: not JSON; comments are read in wrangler.toml alone.`], exitCodes.config);
  }
}
