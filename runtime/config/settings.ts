import { z } from "zod";
import { configSchema } from "./schema.ts";

/** One setting as people meet it: its place in the file, its environment variables, its flags. */
export interface Setting {
  /** Section and key, as in `server.port`. */
  readonly path: string;
  readonly kind: "text" | "integer" | "auto_or_integer" | "switch" | "choice" | "list" | "table";
  /** In order: a short name where there is one, then the systematic one. */
  readonly envNames: readonly string[];
  readonly flags: readonly string[];
  readonly default: unknown;
  readonly minimum: number | undefined;
  readonly maximum: number | undefined;
  readonly choices: readonly string[];
  readonly description: string;
  /** Its value is never printed. */
  readonly secret: boolean;
  /** A change counts at once when the settings are read again, not from the next start on. */
  readonly live: boolean;
}

/** The part of JSON Schema that zod writes for our settings. */
interface SchemaNode {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly anyOf?: readonly SchemaNode[];
  readonly enum?: readonly string[];
  readonly default?: unknown;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly description?: string;
  readonly secret?: boolean;
  readonly live?: boolean;
}

const shortNames: ReadonlyMap<string, string> = new Map([
  ["server.port", "port"],
  ["server.host", "host"],
  ["models.default", "model"],
  ["pool.workers", "workers"],
  ["pool.permits", "permits"],
  ["server.allowUnauthenticated", "insecure"],
]);

/** JSON Schema 2020-12 of `embedge.toml`. */
export function configJsonSchema(): Record<string, unknown> {
  return { title: "embedge.toml", ...z.toJSONSchema(configSchema, { io: "input" }) };
}

/** Every section with its description, in the order of the schema; a section without keys of its own is itself a setting. */
export function listSections(): readonly { readonly name: string; readonly description: string }[] {
  return Object.entries(rootProperties()).map(([name, node]) => ({ name, description: node.description ?? "" }));
}

/** Every setting, in the order of the schema. */
export function listSettings(): readonly Setting[] {
  return Object.entries(rootProperties()).flatMap(([section, node]) =>
    node.properties === undefined
      ? [toSetting(section, node)]
      : Object.entries(node.properties).map(([key, child]) => toSetting(`${section}.${key}`, child)),
  );
}

function rootProperties(): Readonly<Record<string, SchemaNode>> {
  return (configJsonSchema() as SchemaNode).properties ?? {};
}

function toSetting(path: string, node: SchemaNode): Setting {
  const short = shortNames.get(path);
  const words = path.split(/[.]|(?=[A-Z])/).map((word) => word.toLowerCase());
  const number = node.anyOf?.find((option) => option.type === "integer") ?? node;
  return {
    path,
    kind: kindOf(node),
    envNames: [
      ...(short === undefined ? [] : [`EMBEDGE_${short.toUpperCase()}`]),
      `EMBEDGE_${words.join("_").toUpperCase()}`,
    ],
    flags: [...(short === undefined ? [] : [`--${short}`]), `--${words.join("-")}`],
    default: node.default,
    minimum: number.minimum,
    maximum: number.maximum,
    choices: node.enum ?? [],
    description: node.description ?? "",
    secret: node.secret ?? false,
    live: node.live ?? false,
  };
}

function kindOf(node: SchemaNode): Setting["kind"] {
  if (node.anyOf !== undefined) return "auto_or_integer";
  if (node.enum !== undefined) return "choice";
  switch (node.type) {
    case "integer":
      return "integer";
    case "boolean":
      return "switch";
    case "array":
      return "list";
    case "object":
      return "table";
    default:
      return "text";
  }
}

/** What a valid value looks like: the end of "must be …". */
export function describeValue(setting: Setting): string {
  const range = `a whole number from ${setting.minimum ?? 0} to ${setting.maximum ?? "any"}`;
  switch (setting.kind) {
    case "integer":
      return range;
    case "auto_or_integer":
      return `"auto" or ${range}`;
    case "switch":
      return "true or false";
    case "choice":
      return `one of ${setting.choices.join(", ")}`;
    case "list":
      return "a list of texts, none empty";
    case "table":
      return "a table of texts";
    case "text":
      return "a text that is not empty";
  }
}
