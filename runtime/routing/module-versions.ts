import { realpathSync } from "node:fs";
import { registerHooks } from "node:module";
import { pathToFileURL } from "node:url";

const PARAMETER = "embedge";

/** Folders whose modules are loaded by version, as URLs with a slash at the end. */
const folders = new Set<string>();

/** Folders that have been loaded in this process, by whichever host. */
const loaded = new Set<string>();
let newest = 0;

/** The version of the next load of a folder: none for the first one in this process, a new one for each later. */
export function nextVersion(folder: string): number | undefined {
  if (loaded.has(folder)) return ++newest;
  loaded.add(folder);
  return undefined;
}

/**
 * The URL under which a module is loaded anew: Node keeps each module for ever by its URL, so another version is another URL.
 *
 * What the module imports from `folder` is loaded in the same version, so that a change in a shared file counts too; packages
 * and all else outside are shared. Old versions stay in memory: a later one is for development and for tests.
 */
export function urlOfVersion(file: string, folder: string, version: number): string {
  if (folders.size === 0) passVersionOn();
  folders.add(`${pathToFileURL(realpathSync(folder)).href}/`);
  return withVersion(pathToFileURL(file).href, String(version));
}

function passVersionOn(): void {
  registerHooks({
    resolve(specifier, context, nextResolve) {
      const resolved = nextResolve(specifier, context);
      const parent = context.parentURL;
      const version = parent === undefined || !isOurs(parent) ? null : new URL(parent).searchParams.get(PARAMETER);
      return version === null || !isOurs(resolved.url)
        ? resolved
        : { ...resolved, url: withVersion(resolved.url, version) };
    },
  });
}

function isOurs(url: string): boolean {
  return [...folders].some((folder) => url.startsWith(folder));
}

function withVersion(url: string, version: string): string {
  const versioned = new URL(url);
  versioned.searchParams.set(PARAMETER, version);
  return versioned.href;
}
