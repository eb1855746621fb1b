import { existsSync } from "node:fs";
import path from "node:path";
import { parse, type ParseError, printParseErrorCode } from "jsonc-parser";
import { z } from "zod";
import { parseToml, readText } from "./file.ts";
import { ConfigError, exitCodes } from "./problems.ts";

/** What is read here of a wrangler configuration; all the rest is read by wrangler itself, where a binding asks for it. */
export interface WranglerFile {
  readonly file: string;
  readonly text: string;
  /** `[env.NAME]`; undefined: the top level. */
  readonly environment: string | undefined;
  readonly main: string | undefined;
  readonly routes: readonly Route[];
  readonly vars: Readonly<Record<string, unknown>>;
  /** Secrets that `secrets.required` names; undefined where there is no `secrets`. */
  readonly secrets: readonly string[] | undefined;
  /** The name of the `[ai]` binding; undefined where none is declared. */
  readonly ai: string | undefined;
  readonly crons: readonly string[];
  /** The names of all bindings that live in workerd: KV, D1, R2, queues and whatever else has a name. */
  readonly bindings: readonly string[];
  /** It consumes queues. */
  readonly hasConsumers: boolean;
}

export type Route = string | { readonly pattern: string; readonly custom_domain?: boolean | undefined };

const route = z.union([z.string(), z.looseObject({ pattern: z.string(), custom_domain: z.boolean().optional() })]);
const table = z.record(z.string(), z.unknown());

/** What an environment takes from the top level where it says nothing of it. */
const inherited = {
  main: z.string().optional(),
  route: route.optional(),
  routes: z.array(route).optional(),
  triggers: z.looseObject({ crons: z.array(z.string()).nullish() }).optional(),
};
/** What each environment has to say itself. */
const own = {
  vars: table.default({}),
  ai: z.looseObject({ binding: z.string() }).optional(),
  secrets: z.looseObject({ required: z.array(z.string()).default([]) }).optional(),
  queues: z
    .looseObject({ producers: z.array(z.looseObject({ binding: z.string() })).default([]), consumers: z.array(table) })
    .partial()
    .optional(),
};
const level = z.looseObject({ ...inherited, ...own });
const fileSchema = z.looseObject({ ...level.shape, env: z.record(z.string(), level).default({}) });

/** In wrangler's own order. */
const FILE_NAMES = ["wrangler.json", "wrangler.jsonc", "wrangler.toml"];

/** The configuration that wrangler would take in this folder; undefined where there is none. */
export function findWranglerFile(folder: string): string | undefined {
  return FILE_NAMES.map((name) => path.join(folder, name)).find((file) => existsSync(file));
}

/** Throws a ConfigError that names the file, and what is missing or wrong in it. */
export function readWranglerFile(file: string, environment: string | undefined): WranglerFile {
  const text = readText(file);
  const parsed = fileSchema.safeParse(file.endsWith(".toml") ? parseToml(file, text) : parseJsonc(file, text));
  if (!parsed.success) {
    const problems = parsed.error.issues.map(({ path: at, message }) => `${file}: ${at.join(".")}: ${message}.`);
    throw new ConfigError(problems, exitCodes.config);
  }
  const { env: environments, ...top } = parsed.data;
  const chosen = environment === undefined ? undefined : environments[environment];
  // wrangler warns of an environment that does not exist and takes the top level.
  const { main, route: single, routes = [], triggers, vars, secrets, ai, queues, ...rest } = chosen ?? top;
  const hasOwnRoutes = single !== undefined || routes.length > 0;
  return {
    file,
    text,
    environment,
    main: main ?? top.main,
    routes: hasOwnRoutes ? listRoutes(single, routes) : listRoutes(top.route, top.routes ?? []),
    vars,
    secrets: secrets?.required,
    ai: ai?.binding,
    crons: triggers?.crons ?? top.triggers?.crons ?? [],
    bindings: [...(queues?.producers ?? []).map(({ binding }) => binding), ...bindingNames(rest)],
    hasConsumers: (queues?.consumers ?? []).length > 0,
  };
}

function listRoutes(single: Route | undefined, routes: readonly Route[]): readonly Route[] {
  return [...(single === undefined ? [] : [single]), ...routes];
}

/** Tables that name no binding though they hold a `binding` or a `name`. */
const NO_BINDINGS = new Set(["build", "containers", "define", "dev", "migrations", "rules", "site", "unsafe"]);

/** Every binding has its name in a field `binding`, those of Durable Objects and e-mail in `name`. */
function bindingNames(rest: Readonly<Record<string, unknown>>): readonly string[] {
  return Object.entries(rest).flatMap(([key, value]) => {
    if (NO_BINDINGS.has(key)) return [];
    const nested = key === "durable_objects" && isTable(value) ? value["bindings"] : value;
    const nameKey = key === "durable_objects" || key === "send_email" || key === "ratelimits" ? "name" : "binding";
    const entries: readonly unknown[] = Array.isArray(nested) ? nested : [nested];
    return entries.flatMap((entry) => {
      const name = isTable(entry) ? entry[nameKey] : undefined;
      return typeof name === "string" ? [name] : [];
    });
  });
}

function isTable(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}

function parseJsonc(file: string, text: string): unknown {
  const errors: ParseError[] = [];
  const value: unknown = parse(text, errors, { allowTrailingComma: true });
  const [first] = errors;
  if (first === undefined) return value;
  const before = text.slice(0, first.offset).split("\n");
  const place = `${before.length}:${(before.at(-1)?.length ?? 0) + 1}`;
  throw new ConfigError([`${file}:${place}: not JSON: ${printParseErrorCode(first.error)}.`], exitCodes.config);
}
