import { AppError } from "../errors.ts";
import type { BodyBudget } from "./body-budget.ts";
import { readBoundedBody } from "./body-limit.ts";
import type { Caller } from "./caller.ts";
import { failureResponse, toAppError } from "./error-response.ts";
import type { InvocationResult, Invoker } from "./invocation.ts";
import { ANY_METHOD, refuseMethod } from "./methods.ts";
import type { Route, RouteTable } from "./route-table.ts";

/** A request for some function. */
export interface FunctionCall {
  readonly id: string;
  readonly request: Request;
  /** Chooses the function, which sees it as the request's own: without the prefix of a mount. */
  readonly url: URL;
  /** On the host's Clock; the deadline counts from here. */
  readonly arrivedAtMs: number;
  /** The Worker that is meant, where it is not for the URL to choose. */
  readonly worker?: string | undefined;
  /** Undefined: nobody in particular. */
  readonly caller?: Caller | undefined;
}

export interface FunctionResult extends Pick<InvocationResult, "response" | "error"> {
  /** Undefined where no function ran. */
  readonly embedded: InvocationResult["embedded"] | undefined;
  /** The route's pattern; undefined where none matches. */
  readonly route: string | undefined;
}

/** Where functions run: in this process, or somewhere behind it. */
export interface FunctionRunner {
  /** Answers whatever is asked; never rejects. */
  run(call: FunctionCall): Promise<FunctionResult>;
  /** Why no function can run now; undefined where they can. */
  problem?(): string | undefined;
}

export interface FunctionRunnerOptions {
  readonly routes: Pick<RouteTable, "match">;
  readonly invoker: Pick<Invoker, "invoke">;
  /** Read at each request, since it may change. */
  readonly bodyBytesMax: number;
  /** Room for the bodies of all requests together; without it, each has as much as `bodyBytesMax`. */
  readonly bodies?: BodyBudget | undefined;
  /** The caller as one of this route. */
  readonly callerOf?: (caller: Caller, route: string) => Caller;
}

/** Runs functions in this process: route → method → body → handler. */
export function createFunctionRunner(options: FunctionRunnerOptions): FunctionRunner {
  const { routes, invoker, bodies, callerOf = (caller: Caller) => caller } = options;
  return {
    async run({ id, request, url, arrivedAtMs, caller = {} }) {
      const match = routes.match(url.pathname);
      if (match === undefined) return failed(new AppError("not_found"));
      const { pattern, methods, limits, handler, answerFailure } = match.route;
      // A function without a list answers OPTIONS itself.
      const refusal = refuseMethod(request.method, methods ?? [...ANY_METHOD, "OPTIONS"], answerFailure);
      if (refusal !== undefined) return { response: refusal, error: undefined, embedded: undefined, route: pattern };
      if (handler instanceof AppError) return failed(handler, match.route);
      // Held until the answer begins: the texts that wait in the queue are this body.
      const lease = bodies?.open();
      try {
        const bodyBytesMax = Math.min(limits.bodyBytesMax ?? options.bodyBytesMax, options.bodyBytesMax);
        const body = await readBoundedBody(request, bodyBytesMax, lease);
        const result = await invoker.invoke({
          id,
          handler,
          answerFailure,
          params: match.params,
          request,
          url: url.href,
          body,
          arrivedAtMs,
          timeoutMs: limits.timeoutMs,
          caller: callerOf(caller, pattern),
        });
        return { ...result, route: pattern };
      } catch (thrown) {
        return failed(toAppError(thrown, "internal_error"), match.route);
      } finally {
        lease?.release();
      }
    },
  };
}

function failed(error: AppError, route?: Route): FunctionResult {
  return { response: failureResponse(error, route?.answerFailure), error, embedded: undefined, route: route?.pattern };
}
