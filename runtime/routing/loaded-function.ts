import { AppError } from "../errors.ts";
import { type Events, readModule } from "./function-module.ts";
import { createRouteTable, type Route, type RouteTable } from "./route-table.ts";

/** A file of functions/ that was loaded, or why it could not be. */
export interface LoadedFunction extends Route {
  readonly events: Events;
  /** False: it answers events alone, and its path is free. */
  readonly isRoute: boolean;
}

interface Place {
  readonly pattern: string;
  readonly file: string;
}

/** Throws with what to write where the module is no function. */
export function toFunction({ pattern, file }: Place, module: Readonly<Record<string, unknown>>): LoadedFunction {
  const { handler = new AppError("not_found"), ...read } = readModule(module);
  return { pattern, file, ...read, handler, isRoute: !(handler instanceof AppError) };
}

/** A file that cannot be loaded still has its route, whose answer is the failure. */
export function toFailed({ pattern, file }: Place, cause: unknown): LoadedFunction {
  const handler = new AppError("function_failed", { cause });
  return { pattern, file, methods: undefined, limits: {}, handler, events: {}, isRoute: true };
}

/** Two files that handle the same events, of which a Worker has one handler. */
export class EventConflictError extends Error {
  readonly files: readonly [string, string];

  constructor(event: string, first: string, second: string) {
    super(`${first} and ${second} both have a handler \`${event}\`; keep one of them`);
    this.name = "EventConflictError";
    this.files = [first, second];
  }
}

export interface FunctionTable extends RouteTable {
  /** Those of all files. */
  readonly events: Events;
}

/** Throws RouteConflictError or EventConflictError where two files could not be told apart. */
export function createFunctionTable(functions: readonly LoadedFunction[]): FunctionTable {
  const scheduled = onlyOne(functions, "scheduled");
  const queue = onlyOne(functions, "queue");
  return {
    ...createRouteTable(functions.filter(({ isRoute }) => isRoute)),
    events: { ...(scheduled !== undefined && { scheduled }), ...(queue !== undefined && { queue }) },
  };
}

function onlyOne<Name extends keyof Events>(
  functions: readonly LoadedFunction[],
  event: Name,
): Events[Name] | undefined {
  const [first, second] = functions.filter(({ events }) => events[event] !== undefined);
  if (first !== undefined && second !== undefined) throw new EventConflictError(event, first.file, second.file);
  return first?.events[event];
}
