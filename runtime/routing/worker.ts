import type { Env, EventHandler, ExecutionContext } from "../../functions/_types.ts";
import { systemClock } from "../clock.ts";
import type { ErrorCode } from "../errors.ts";
import { createFunctionRunner } from "./function-runner.ts";
import { createInvoker } from "./invocation.ts";
import { createFunctionTable, type LoadedFunction, toFailed, toFunction } from "./loaded-function.ts";
import { requestIdOf } from "./request-id.ts";

/** A file of functions/, imported. */
export interface WorkerFile {
  readonly pattern: string;
  readonly file: string;
  readonly module: Readonly<Record<string, unknown>>;
}

export interface WorkerLimits {
  readonly bodyBytesMax: number;
  readonly requestTimeoutMs: number;
  readonly requestTimeoutMsMax: number;
  readonly waitUntilMs: number;
}

/** What workerd calls: the module shape of Workers. */
export interface Worker extends EventHandler {
  fetch(request: Request, env: Env, context: Pick<ExecutionContext, "waitUntil">): Promise<Response>;
}

/**
 * All functions as one Worker, for workerd and Cloudflare: the same routes, methods, deadlines and errors as on Node. Throws
 * where two files could not be told apart.
 */
export function createWorker(files: readonly WorkerFile[], limits: WorkerLimits): Worker {
  const routes = createFunctionTable(files.map(load));
  return {
    ...routes.events,
    async fetch(request, env, context) {
      const arrivedAtMs = systemClock.nowMs();
      // One for each request, since workerd does not let one request touch the timers and promises of another.
      const invoker = createInvoker({
        ...limits,
        clock: systemClock,
        createEnv: () => env,
        onBackgroundFailure: (id, cause) => log("waitUntil failed", id, cause),
      });
      const runner = createFunctionRunner({ routes, invoker, bodyBytesMax: limits.bodyBytesMax });
      const id = requestIdOf(request.headers);
      const { response, error } = await runner.run({ id, request, url: new URL(request.url), arrivedAtMs });
      context.waitUntil(invoker.idle());
      if (error !== undefined && EXPLAINED.includes(error.code)) log(error.code, id, error.cause);
      // The headers of a redirect or of a fetched Response cannot be changed, those of a copy can.
      const answer = new Response(request.method === "HEAD" ? null : response.body, response);
      answer.headers.set("x-request-id", id);
      return answer;
    },
  };
}

function load({ module, ...place }: WorkerFile): LoadedFunction {
  try {
    return toFunction(place, module);
  } catch (cause) {
    return toFailed(place, cause);
  }
}

/** Failures of code, which only the log explains. */
const EXPLAINED: readonly ErrorCode[] = ["internal_error", "function_error", "function_failed", "no_worker"];

/** A value that is no Error may be anything, a text too, so only its type is told. */
function log(what: string, id: string, cause: unknown): void {
  // oxlint-disable-next-line no-console -- the one log that a Worker has
  console.error(what, id, cause instanceof Error ? cause : `a value of type ${typeof cause} was thrown`);
}
