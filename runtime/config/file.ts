import { readFileSync, statSync } from "node:fs";
import { parse, TomlError } from "smol-toml";
import { ConfigError, exitCodes, fileProblem } from "./problems.ts";

/** A configuration is a page of text. A bigger file is a mistake, and reading it could take all memory. */
const FILE_BYTES_MAX = 2 ** 20;

/** The tables of a TOML file. Throws a ConfigError: 66 missing, 77 not readable, 78 not TOML, with line and column. */
export function readConfigFile(file: string): Readonly<Record<string, unknown>> {
  return parseToml(file, readText(file));
}

/** The same of what was read from it. */
export function parseToml(file: string, text: string): Readonly<Record<string, unknown>> {
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    // Only the first line: the others quote the file, which may hold secrets.
    const reason = error.message.split("\n", 1)[0]?.replace("Invalid TOML document: ", "") ?? "";
    throw new ConfigError([`${file}:${error.line}:${error.column}: not TOML: ${reason}.`], exitCodes.config);
  }
}

/** A text in UTF-8. Throws a ConfigError that names the file. */
export function readText(file: string): string {
  let bytes: Uint8Array;
  try {
    const stats = statSync(file);
    if (!stats.isFile()) throw new ConfigError([`${file}: not a file.`], exitCodes.noInput);
    if (stats.size > FILE_BYTES_MAX) {
      throw new ConfigError(
        [`${file}: ${stats.size} bytes; a configuration has ${FILE_BYTES_MAX} at most.`],
        exitCodes.noInput,
      );
    }
    bytes = readFileSync(file);
  } catch (error) {
    throw error instanceof ConfigError ? error : fileProblem(file, error);
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new ConfigError([`${file}: not UTF-8.`], exitCodes.config);
  }
}
