import { ConfigError, exitCodes } from "../config/problems.ts";
import { CronPatternError } from "../routing/cron-pattern.ts";
import { FunctionsFolderError } from "../routing/functions-folder.ts";
import { EventConflictError } from "../routing/loaded-function.ts";
import { RouteConflictError } from "../routing/route-table.ts";
import { WorkerPatternError } from "../routing/worker-patterns.ts";
import { complain } from "./output.ts";

/** What is wrong with the functions or the projects; each says it in a sentence. */
const projectErrors = [
  FunctionsFolderError,
  RouteConflictError,
  EventConflictError,
  CronPatternError,
  WorkerPatternError,
];

/** Says what is wrong on stderr and ends with the exit code that scripts can tell apart. */
export function fail(error: unknown): never {
  if (error instanceof ConfigError) {
    complain(error.problems.join("\n"));
    process.exit(error.exitCode);
  }
  if (error instanceof Error && projectErrors.some((kind) => error instanceof kind)) {
    complain(error.message);
    process.exit(exitCodes.config);
  }
  complain(error instanceof Error ? (error.stack ?? error.message) : String(error));
  process.exit(exitCodes.internal);
}

/** The stack. A value that is no Error may be anything, a text too, so only its type is told. */
export function describe(thrown: unknown): string {
  return thrown instanceof Error ? (thrown.stack ?? thrown.message) : `a value of type ${typeof thrown}`;
}
