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
 * The folder of this user where the installed package keeps its Python environment and models.
 *
 * EMBEDGE_HOME, else a folder in the user's cache that is named after what it holds: versions of embedge that need the same
 * share it, others do not break each other's. It may be removed at any time; the next start makes it again.
 */
export function findHome({ env, platform, userHome, lockText }: HomeSources): string {
  const own = env["EMBEDGE_HOME"];
  if (own !== undefined && own !== "") return path.resolve(own);
  const xdg = env["XDG_CACHE_HOME"];
  const usual = platform === "darwin" ? path.join(userHome, "Library/Caches") : path.join(userHome, ".cache");
  // A relative one is invalid and to be ignored, says the XDG Base Directory Specification.
  const cache = xdg !== undefined && path.isAbsolute(xdg) ? xdg : usual;
  const key = createHash("sha256").update(lockText).digest("hex").slice(0, 12);
  return path.join(cache, "embedge", key);
}
