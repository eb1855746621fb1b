import { createHash } from "node:crypto";
import path from "node:path";

export interface HomeSources {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly platform: string;
  readonly userHome: string;
  /** What decides what is installed there. */
  readonly lockText: string;
}

/**
 * The folder of this user where the installed package keeps its Python environment.
 *
 * EMBEDGE_HOME, else a folder in the user's cache that is named after what it holds: versions of embedge that need the same
 * share it, others do not break each other's. It may be removed at any time; the next start makes it again.
 */
export function findHome(sources: HomeSources): string {
  const key = createHash("sha256").update(sources.lockText).digest("hex").slice(0, 12);
  return ownHome(sources) ?? path.join(cacheOf(sources), key);
}

/** The folder of its models: one for all versions, so that what was pulled stays there after an upgrade. */
export function findModelsDir(sources: Omit<HomeSources, "lockText">): string {
  return path.join(ownHome(sources) ?? cacheOf(sources), "models");
}

function ownHome({ env }: Pick<HomeSources, "env">): string | undefined {
  const own = env["EMBEDGE_HOME"];
  return own === undefined || own === "" ? undefined : path.resolve(own);
}

function cacheOf({ env, platform, userHome }: Omit<HomeSources, "lockText">): string {
  const xdg = env["XDG_CACHE_HOME"];
  const usual = platform === "darwin" ? path.join(userHome, "Library/Caches") : path.join(userHome, ".cache");
  // A relative one is invalid and to be ignored, says the XDG Base Directory Specification.
  return path.join(xdg !== undefined && path.isAbsolute(xdg) ? xdg : usual, "embedge");
}
