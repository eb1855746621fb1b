import { realpathSync } from "node:fs";
import { registerHooks } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";

/** Folders of Workers, as URLs with a slash at the end, and how many hosts hold each. */
const folders = new Map<string, number>();
let hooks: { deregister(): void } | undefined;

/** What a Worker may import of `cloudflare:workers`. */
export interface WorkersImport {
  /** Of its folder, for `setOuterEnv`. */
  readonly key: string;
  /** What has not imported it by then cannot. */
  release(): void;
}

/**
 * Lets the modules below a folder import `cloudflare:workers`. Of two folders that hold a module the inner one counts. A package outside
 * of both is nobody's: its `env` is that of the run that asks, and outside of one it is empty.
 *
 * Node's module hooks stand as long as one of these does.
 */
export function allowWorkersImport(folder: string): WorkersImport {
  hooks ??= registerHooks({ resolve });
  const key = `${pathToFileURL(realpathSync(folder)).href}/`;
  folders.set(key, (folders.get(key) ?? 0) + 1);
  return {
    key,
    release() {
      const left = (folders.get(key) ?? 0) - 1;
      if (left > 0) folders.set(key, left);
      else folders.delete(key);
      if (folders.size > 0) return;
      hooks?.deregister();
      hooks = undefined;
    },
  };
}

type Resolve = Extract<Parameters<typeof registerHooks>[0]["resolve"], object>;

/** Beside this file, built or not. */
const MODULE = path.join(import.meta.dirname, `cloudflare-workers${path.extname(import.meta.filename)}`);

const resolve: Resolve = (specifier, context, nextResolve) => {
  if (!specifier.startsWith("cloudflare:")) return nextResolve(specifier, context);
  const folder = folderOf(context.parentURL ?? "");
  if (folder === undefined) {
    try {
      // Somebody else may know of it.
      return nextResolve(specifier, context);
    } catch {
      // Nobody does.
    }
  }
  if (specifier !== "cloudflare:workers") {
    throw new Error(`"${specifier}" needs workerd: run \`embedge dev --miniflare\`.`);
  }
  const url = pathToFileURL(MODULE);
  url.searchParams.set("worker", folder ?? "");
  return { url: url.href, shortCircuit: true };
};

function folderOf(parent: string): string | undefined {
  return [...folders.keys()].filter((folder) => parent.startsWith(folder)).toSorted((a, b) => b.length - a.length)[0];
}
