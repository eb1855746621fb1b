import { AppError } from "../errors.ts";
import { readBoundedBody } from "./body-limit.ts";
import { errorResponse, toAppError } from "./error-response.ts";
import type { InvocationResult, Invoker } from "./invocation.ts";
import { ANY_METHOD, refuseMethod } from "./methods.ts";
import type { RouteTable } from "./route-table.ts";

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
  readonly bodyBytesMax: number;
}

/** Runs functions in this process: route → method → body → handler. */
export function createFunctionRunner({ routes, invoker, bodyBytesMax }: FunctionRunnerOptions): FunctionRunner {
  return {
    async run({ id, request, url, arrivedAtMs }) {
      const match = routes.match(url.pathname);
      if (match === undefined) return failed(new AppError("not_found"), undefined);
      const { pattern, methods, limits, handler } = match.route;
      // A function without a list answers OPTIONS itself.
      const refusal = refuseMethod(request.method, methods ?? [...ANY_METHOD, "OPTIONS"]);
      if (refusal !== undefined) return { response: refusal, error: undefined, embedded: undefined, route: pattern };
      if (handler instanceof AppError) return failed(handler, pattern);
      let body: Uint8Array<ArrayBuffer> | undefined;
      try {
        body = await readBoundedBody(request, Math.min(limits.bodyBytesMax ?? bodyBytesMax, bodyBytesMax));
      } catch (thrown) {
        return failed(toAppError(thrown, "internal_error"), pattern);
      }
      const { params } = match;
      const { timeoutMs } = limits;
      const result = await invoker.invoke({
        id,
        handler,
        params,
        request,
        url: url.href,
        body,
        arrivedAtMs,
        timeoutMs,
      });
      return { ...result, route: pattern };
    },
  };
}

function failed(error: AppError, route: string | undefined): FunctionResult {
  return { response: errorResponse(error), error, embedded: undefined, route };
}
