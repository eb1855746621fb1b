import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, statSync } from "node:fs";
import path from "node:path";
import { writeAtomically } from "./lock.mjs";

/**
 * What is known to be in place: for each part the key it was made from and its files, each with length and change time.
 *
 * @typedef {{ key: string, files: Record<string, readonly [bytes: number, modifiedAtMs: number]> }} PartRecord
 * @typedef {ReturnType<typeof openState>} State
 */

/** @param {import("./places.mjs").Places} places */
export function openState(places) {
  // Where the folder lies may differ from one start to the next, what lies in it does not.
  const base = path.dirname(places.state);

  /** @returns {Record<string, PartRecord>} */
  function read() {
    try {
      return JSON.parse(readFileSync(places.stateFile, "utf8"));
    } catch {
      // Missing, or cut short by a full disk: nothing is known to be in place.
      return {};
    }
  }

  /**
   * Undefined when the part was made from `key` and its files are as they were; else why it must be made again.
   *
   * @param {string} part
   * @param {string | undefined} key undefined: any will do
   * @returns {string | undefined}
   */
  function whyDue(part, key) {
    const known = read()[part];
    if (known === undefined) return "not set up yet";
    if (key !== undefined && known.key !== key) return "its lock file or version changed";
    const broken = Object.entries(known.files).find(([file, [bytes, modifiedAtMs]]) => {
      const stats = statSync(path.resolve(base, file), { throwIfNoEntry: false });
      return stats === undefined || stats.size !== bytes || stats.mtimeMs !== modifiedAtMs;
    });
    return broken === undefined ? undefined : `${broken[0]} is missing or was changed`;
  }

  /**
   * @param {string} part
   * @param {string} key
   * @param {readonly string[]} files absolute
   */
  function record(part, key, files) {
    const entries = files.map((file) => {
      const { size, mtimeMs } = statSync(file);
      return [path.relative(base, file), [size, mtimeMs]];
    });
    write({ ...read(), [part]: { key, files: Object.fromEntries(entries) } });
  }

  /** @param {Record<string, PartRecord>} records */
  function write(records) {
    mkdirSync(places.state, { recursive: true });
    writeAtomically(places.stateFile, `${JSON.stringify(records, null, 1)}\n`);
  }

  return { whyDue, record };
}

/**
 * One short hash over files and words: when any changes, so does the key.
 *
 * @param {readonly string[]} files
 * @param {readonly string[]} words
 */
export function keyOf(files, words = []) {
  const hash = createHash("sha256");
  for (const file of files) hash.update(readFileSync(file)).update("\0");
  for (const word of words) hash.update(word).update("\0");
  return hash.digest("hex").slice(0, 16);
}
