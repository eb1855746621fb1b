import { existsSync } from "node:fs";
import path from "node:path";
import { type KeyEntry, KEYS_FILE_NAME, makeKey, readKeys, writeKeys } from "../config/keys-file.ts";
import type { LoadedConfig } from "../config/load.ts";
import { ConfigError, exitCodes } from "../config/problems.ts";
import { print } from "./output.ts";

type Load = (args: readonly string[]) => LoadedConfig;

const USAGE = "embedge keys add NAME [--bulk] [--inputs-max N] [--requests-per-minute N], list, or rm NAME";
const LIMIT_FLAGS: ReadonlyMap<string, "inputsMax" | "requestsPerMinute"> = new Map([
  ["--inputs-max", "inputsMax"],
  ["--requests-per-minute", "requestsPerMinute"],
]);

/** `embedge keys`: what else is given are flags of settings, which say where the file is. */
export function runKeys(args: readonly string[], load: Load): void {
  const { words, entry, rest } = readArguments(args);
  const loaded = load(rest);
  const file = keysFileOf(loaded);
  const keys = existsSync(file) ? readKeys({ server: { ...loaded.config.server, keysFile: file } }) : [];
  const [command, name, ...more] = words;
  if (more.length > 0) throw usage();
  if (command === "add" && name !== undefined) return add(file, keys, { ...entry, name });
  if (command === "rm" && name !== undefined) return remove(file, keys, name);
  if (command === "list" && name === undefined) return list(file, keys);
  throw usage();
}

function add(file: string, keys: readonly KeyEntry[], wanted: Omit<KeyEntry, "sha256">): void {
  const { key, entry } = makeKey(wanted.name);
  if (keys.some(({ name }) => name === wanted.name)) {
    throw new ConfigError(
      [`There is a key ${wanted.name} already. Take it away first: embedge keys rm ${wanted.name}`],
      exitCodes.usage,
    );
  }
  writeKeys(file, [...keys, { ...entry, ...wanted }]);
  print(`${key}\n\nThis is the key of ${wanted.name}. It is shown this once: ${file} has a hash of it and no more.`);
  print("A host that runs knows it after SIGHUP. Every request then needs a key: Authorization: Bearer KEY");
}

function remove(file: string, keys: readonly KeyEntry[], name: string): void {
  const left = keys.filter((key) => key.name !== name);
  if (left.length === keys.length) throw new ConfigError([`There is no key ${name} in ${file}.`], exitCodes.usage);
  writeKeys(file, left);
  print(`The key of ${name} is gone from ${file}. A host that runs takes it until SIGHUP.`);
}

function list(file: string, keys: readonly KeyEntry[]): void {
  if (keys.length === 0) return print(`There is no key in ${file}: everybody may call who can reach the host.`);
  for (const { name, priority, inputsMax, requestsPerMinute } of keys) {
    const facts = [
      priority === "bulk" ? "bulk" : undefined,
      inputsMax && `${inputsMax} texts at one time`,
      requestsPerMinute && `${requestsPerMinute} requests a minute`,
    ];
    print([name, ...facts.filter(Boolean)].join("  "));
  }
  return undefined;
}

/** The file of the settings, or the usual one, which `add` then writes. */
function keysFileOf({ config: { server }, origins, file }: LoadedConfig): string {
  if (server.keysFile !== "none") return server.keysFile;
  if (origins.get("server.keysFile") === "default") {
    return path.join(file === undefined ? process.cwd() : path.dirname(file), KEYS_FILE_NAME);
  }
  throw new ConfigError(['server.keysFile is "none": there is no file for keys.'], exitCodes.usage);
}

function readArguments(args: readonly string[]): {
  readonly words: readonly string[];
  readonly entry: Pick<KeyEntry, "priority" | "inputsMax" | "requestsPerMinute">;
  readonly rest: readonly string[];
} {
  const words: string[] = [];
  const rest: string[] = [];
  const entry: { priority?: "bulk"; inputsMax?: number; requestsPerMinute?: number } = {};
  for (let at = 0; at < args.length; at++) {
    const arg = args[at] ?? "";
    const limit = LIMIT_FLAGS.get(arg);
    if (arg === "--bulk") entry.priority = "bulk";
    else if (limit !== undefined) entry[limit] = readCount(arg, args[++at]);
    else if (arg.startsWith("-") || rest.length > 0) rest.push(arg);
    else words.push(arg);
  }
  return { words, entry, rest };
}

function readCount(flag: string, text: string | undefined): number {
  if (text !== undefined && /^[1-9]\d{0,8}$/.test(text)) return Number(text);
  throw new ConfigError([`${flag}: needs a whole number from 1.`], exitCodes.usage);
}

function usage(): ConfigError {
  return new ConfigError([`Usage: ${USAGE}`], exitCodes.usage);
}
