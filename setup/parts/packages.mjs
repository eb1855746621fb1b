import { existsSync, readFileSync } from "node:fs";
import path from "node:path";

/**
 * An entry of a package-lock.json, as far as it is used here.
 *
 * @typedef {{ version?: string, link?: boolean, dev?: boolean, optional?: boolean, devOptional?: boolean }} LockEntry
 * @typedef {Record<string, LockEntry>} LockEntries by path, as in `node_modules/hono`
 */

/**
 * The npm packages of the lock file: those that serving needs, or all.
 *
 * @param {import("./part.mjs").Context} context
 * @param {"serve" | "test"} level
 * @returns {import("./part.mjs").Part}
 */
export function packagesPart({ places, run }, level) {
  const wanted = readEntries(path.join(places.root, "package-lock.json")) ?? {};
  const hiddenLock = path.join(places.nodeModules, ".package-lock.json");
  return {
    name: "packages",
    label: level === "test" ? "npm packages, with those for tests" : "npm packages",
    after: [],
    whyDue() {
      // npm writes this file last, so a killed installation has none.
      const installed = readEntries(hiddenLock);
      if (installed === undefined) return "not set up yet";
      return whyIncomplete(selectEntries(wanted, level), installed, (entryPath) =>
        existsSync(path.join(places.root, entryPath, "package.json")),
      );
    },
    async make() {
      const [npm, ...npmArgs] = npmCommand();
      // Someone who has run the tests keeps their packages when a plain start repairs.
      const all = level === "test" || hasDevelopmentPackages(readEntries(hiddenLock) ?? {});
      const scope = all ? "--include=dev" : "--omit=dev";
      await run(npm, [...npmArgs, "ci", "--ignore-scripts", "--prefer-offline", "--loglevel=error", scope], {
        step: "Installing the npm packages",
        cwd: places.root,
      });
    },
  };
}

/**
 * Undefined when every wanted package is installed in its version; else the first that is not. An optional one that npm
 * did not install, since it is for another platform, is not missed.
 *
 * @param {LockEntries} wanted
 * @param {LockEntries} installed
 * @param {(entryPath: string) => boolean} isThere whether the package's own package.json exists
 */
export function whyIncomplete(wanted, installed, isThere) {
  for (const [entryPath, { version, optional }] of Object.entries(wanted)) {
    const entry = installed[entryPath];
    if (entry === undefined && optional) continue;
    if (entry?.version !== version) return `${entryPath} is not ${version}`;
    if (!isThere(entryPath)) return `${entryPath} is missing`;
  }
  return undefined;
}

/**
 * The packages of a lock file that a level needs.
 *
 * @param {LockEntries} entries
 * @param {"serve" | "test"} level
 * @returns {LockEntries}
 */
export function selectEntries(entries, level) {
  const selected = Object.entries(entries).filter(
    ([entryPath, { link, dev, devOptional }]) =>
      // What lies elsewhere is the project itself and its workspaces.
      entryPath.includes("node_modules/") && !link && (level === "test" || !(dev || devOptional)),
  );
  return Object.fromEntries(selected);
}

/** How to run npm: the one that runs us, else the one on the PATH. @returns {readonly [string, ...string[]]} */
export function npmCommand() {
  const npm = process.env.npm_execpath;
  return npm !== undefined && /npm-cli\.[cm]?js$/.test(npm) ? [process.execPath, npm] : ["npm"];
}

/** @param {LockEntries} installed */
function hasDevelopmentPackages(installed) {
  return Object.values(installed).some((entry) => entry.dev === true);
}

/** @param {string} file @returns {LockEntries | undefined} */
function readEntries(file) {
  try {
    return JSON.parse(readFileSync(file, "utf8")).packages;
  } catch {
    return undefined;
  }
}
