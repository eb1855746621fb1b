import { AppError } from "../errors.ts";
import { type FunctionsFolderOptions, loadFunctions } from "./functions-folder.ts";
import { createRouteTable, type Route, type RouteTable } from "./route-table.ts";

/** The functions of a folder, which can be loaded again while they serve. */
export interface LiveRoutes extends Pick<RouteTable, "match"> {
  /** What is wrong with the files that could not be loaded. */
  problems(): readonly string[];
  /**
   * Loads all files anew; resolves with what is wrong. A request that runs ends in the version in which it began.
   *
   * Where a file is broken its last good version stays; where the folder as a whole is, everything does.
   */
  reload(): Promise<readonly string[]>;
}

/** Throws what `loadFunctions` and `createRouteTable` throw. */
export async function createLiveRoutes(options: FunctionsFolderOptions): Promise<LiveRoutes> {
  let loaded = await loadFunctions(options);
  let table = createRouteTable(loaded);
  let version = 0;
  return {
    match: (pathname) => table.match(pathname),
    problems: () => problemsOf(loaded),
    async reload() {
      version++;
      try {
        const next = await loadFunctions({ ...options, version });
        const kept = next.map((route) => (isBroken(route) ? (lastGood(table, route) ?? route) : route));
        table = createRouteTable(kept);
        loaded = next;
        return problemsOf(next);
      } catch (error) {
        return [error instanceof Error ? error.message : String(error)];
      }
    },
  };
}

function isBroken({ handler }: Route): boolean {
  return handler instanceof AppError;
}

function lastGood(table: RouteTable, { file }: Route): Route | undefined {
  return table.routes.find((route) => route.file === file && !isBroken(route));
}

function problemsOf(routes: readonly Route[]): readonly string[] {
  return routes.flatMap(({ handler }) =>
    handler instanceof AppError ? [handler.cause instanceof Error ? handler.cause.message : handler.message] : [],
  );
}
