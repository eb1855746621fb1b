import { AppError } from "../errors.ts";
import { type FunctionsFolderOptions, loadFunctions } from "./functions-folder.ts";
import { createFunctionTable, type FunctionTable, type LoadedFunction } from "./loaded-function.ts";
import { nextVersion } from "./module-versions.ts";

/** The functions of a folder, which can be loaded again while they serve. */
export interface LiveRoutes extends Pick<FunctionTable, "match"> {
  /** Those that serve now. */
  list(): FunctionTable["routes"];
  /** Handlers of the version that serves now. */
  events(): FunctionTable["events"];
  /** What is wrong with the files that could not be loaded. */
  problems(): readonly string[];
  /**
   * Loads all files anew; resolves with what is wrong. A request that runs ends in the version in which it began.
   *
   * Where a file is broken its last good version stays; where the folder as a whole is, everything does.
   */
  reload(): Promise<readonly string[]>;
}

/** Throws what `loadFunctions` and `createFunctionTable` throw. */
export async function createLiveRoutes(options: FunctionsFolderOptions): Promise<LiveRoutes> {
  const load = (): Promise<readonly LoadedFunction[]> => {
    const version = nextVersion(options.folder);
    return loadFunctions({ ...options, ...(version !== undefined && { version }) });
  };
  let loaded = await load();
  let serving = loaded;
  let table = createFunctionTable(serving);
  return {
    match: (pathname) => table.match(pathname),
    list: () => table.routes,
    events: () => table.events,
    problems: () => problemsOf(loaded),
    async reload() {
      try {
        const next = await load();
        const kept = next.map((file) => (isBroken(file) ? (lastGood(serving, file) ?? file) : file));
        table = createFunctionTable(kept);
        serving = kept;
        loaded = next;
        return problemsOf(next);
      } catch (error) {
        return [error instanceof Error ? error.message : String(error)];
      }
    },
  };
}

function isBroken({ handler, isRoute }: LoadedFunction): boolean {
  return isRoute && handler instanceof AppError;
}

function lastGood(serving: readonly LoadedFunction[], { file }: LoadedFunction): LoadedFunction | undefined {
  return serving.find((other) => other.file === file && !isBroken(other));
}

function problemsOf(functions: readonly LoadedFunction[]): readonly string[] {
  return functions.flatMap(({ handler, isRoute }) =>
    isRoute && handler instanceof AppError
      ? [handler.cause instanceof Error ? handler.cause.message : handler.message]
      : [],
  );
}
