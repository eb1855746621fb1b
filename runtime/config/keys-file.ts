import { createHash, randomBytes } from "node:crypto";
import { chmodSync, existsSync, renameSync, writeFileSync } from "node:fs";
import path from "node:path";
import { stringify } from "smol-toml";
import { z } from "zod";
import { readConfigFile } from "./file.ts";
import { ConfigError, exitCodes, fileProblem } from "./problems.ts";
import type { Config } from "./schema.ts";

/** What is kept of an API key: what it may do, and a hash by which it is known again. */
export interface KeyEntry {
  readonly name: string;
  /** SHA-256 of the key, in hexadecimal digits. */
  readonly sha256: string;
  readonly priority?: "interactive" | "bulk" | undefined;
  readonly inputsMax?: number | undefined;
  readonly requestsPerMinute?: number | undefined;
}

/** The file's name beside embedge.toml, where no other is asked for. */
export const KEYS_FILE_NAME = "embedge.keys.toml";

const NAME = /^[\w.-]{1,64}$/;

const fileSchema = z.strictObject({
  keys: z
    .record(
      z.string().regex(NAME),
      z.strictObject({
        sha256: z.string().regex(/^[\da-f]{64}$/),
        priority: z.enum(["interactive", "bulk"]).optional(),
        inputsMax: z.int().min(1).optional(),
        requestsPerMinute: z.int().min(1).optional(),
      }),
    )
    .default({}),
});

/** The keys that the settings ask for; none where they name no file. Throws a ConfigError. */
export function readKeys({ server: { keysFile } }: Pick<Config, "server">): readonly KeyEntry[] {
  if (keysFile === "auto" || keysFile === "none") return [];
  const parsed = fileSchema.safeParse(readConfigFile(keysFile));
  if (parsed.success) return Object.entries(parsed.data.keys).map(([name, entry]) => ({ name, ...entry }));
  // Never the value: who mistakes the file for one of keys has put a key there.
  const problems = parsed.error.issues.map(({ code, path: at }) =>
    code === "unrecognized_keys"
      ? `${keysFile}: ${[...at, "?"].join(".")}: no such setting; a key has sha256, priority, inputsMax and requestsPerMinute.`
      : `${keysFile}: ${at.join(".")}: is not what \`embedge keys add\` would write.`,
  );
  throw new ConfigError([...new Set(problems)], exitCodes.config);
}

/** Writes all of them, readable by this user alone, whole or not at all. */
export function writeKeys(file: string, keys: readonly KeyEntry[]): void {
  const tables = Object.fromEntries(keys.map(({ name, ...entry }) => [name, entry]));
  const text = `# API keys, by \`embedge keys\`: hashes, from which no key can be read.\n${stringify({ keys: tables })}\n`;
  const next = `${file}.${process.pid}.new`;
  try {
    writeFileSync(next, text, { mode: 0o600 });
    chmodSync(next, 0o600);
    renameSync(next, file);
  } catch (error) {
    throw fileProblem(file, error);
  }
}

/** A new key, which is to be shown once, and what is kept of it. Throws a ConfigError for a name that cannot be one. */
export function makeKey(name: string): { readonly key: string; readonly entry: KeyEntry } {
  if (!NAME.test(name)) {
    throw new ConfigError(["The name of a key has 1 to 64 letters, digits and . _ -."], exitCodes.usage);
  }
  const key = `embedge-${randomBytes(32).toString("base64url")}`;
  return { key, entry: { name, sha256: createHash("sha256").update(key).digest("hex") } };
}

/** "auto" settled: the file beside embedge.toml, where there is one. */
export function findKeysFile(folder: string): string {
  const usual = path.join(folder, KEYS_FILE_NAME);
  return existsSync(usual) ? usual : "none";
}
