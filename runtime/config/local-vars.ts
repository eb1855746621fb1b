import { existsSync } from "node:fs";
import path from "node:path";
import { parse } from "dotenv";
import { expand } from "dotenv-expand";
import { readText } from "./file.ts";
import type { WranglerFile } from "./wrangler-file.ts";

type Variables = Readonly<Record<string, string | undefined>>;

/**
 * The variables of a Workers project as `wrangler dev` gives them: `vars`, and above them those of `.dev.vars`, or of `.env` where
 * there is none. Read with the libraries that wrangler reads them with. `processEnv` is the environment of this process.
 *
 * Throws a ConfigError where a file cannot be read.
 */
export function readLocalVars(
  { file, environment, vars, secrets }: WranglerFile,
  processEnv: Variables,
): Readonly<Record<string, unknown>> {
  const folder = path.dirname(file);
  const local =
    readDevVars(folder, environment) ??
    readDotEnv(folder, { environment, hasSecrets: secrets !== undefined, processEnv });
  if (secrets === undefined) return { ...vars, ...local };
  const wanted = Object.entries(local).filter(([name]) => name in vars || secrets.includes(name));
  return { ...vars, ...Object.fromEntries(wanted) };
}

/** `.dev.vars.NAME` stands in place of `.dev.vars`, it does not add to it. */
function readDevVars(folder: string, environment: string | undefined): Record<string, string> | undefined {
  const usual = path.join(folder, ".dev.vars");
  const files = environment === undefined ? [usual] : [`${usual}.${environment}`, usual];
  const file = files.find((candidate) => existsSync(candidate));
  return file === undefined ? undefined : parse(readText(file));
}

interface DotEnvOptions {
  readonly environment: string | undefined;
  readonly hasSecrets: boolean;
  readonly processEnv: Variables;
}

/** Each of these adds to the ones before it; `$NAME` in a value stands for another variable. */
function readDotEnv(folder: string, { environment, hasSecrets, processEnv }: DotEnvOptions): Record<string, string> {
  if (processEnv["CLOUDFLARE_LOAD_DEV_VARS_FROM_DOT_ENV"] === "false") return {};
  const names = [".env", ".env.local"];
  if (environment !== undefined) names.push(`.env.${environment}`, `.env.${environment}.local`);
  const files = names.map((name) => path.join(folder, name)).filter((file) => existsSync(file));
  const parsed = Object.assign({}, ...files.map((file) => parse(readText(file)))) as Record<string, string>;
  const isProcessIncluded = hasSecrets || processEnv["CLOUDFLARE_INCLUDE_PROCESS_ENV"] === "true";
  // A variable of the process is stronger than one of the files. `expand` writes into what it is given.
  const into = isProcessIncluded ? { ...processEnv } : {};
  expand({ processEnv: into as Record<string, string>, parsed });
  return into as Record<string, string>;
}
