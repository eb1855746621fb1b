import type { AnswerFailure, Env, ExecutionContext, Handler } from "../../functions/_types.ts";
import type { Clock } from "../clock.ts";
import type { EmbedResult } from "../embedder/embedder.ts";
import { AppError, deadlineExceeded } from "../errors.ts";
import type { AiScope } from "./ai-scope.ts";
import type { Caller } from "./caller.ts";
import { createBackgroundWork } from "./background-work.ts";
import { failureResponse, toAppError } from "./error-response.ts";

export interface TimeoutLimits {
  /** Deadline of a request that asks for none. */
  readonly requestTimeoutMs: number;
  /** Longest deadline that a request may ask for. */
  readonly requestTimeoutMsMax: number;
}

export interface InvokerOptions extends TimeoutLimits {
  readonly clock: Clock;
  /** The bindings of one invocation that brings none of its own. */
  readonly createEnv: (scope: AiScope) => Env;
  /** Calls a handler such that code below it can find its environment by other ways than its arguments. Default: just calls it. */
  readonly within?: <T>(scope: RunScope, call: () => T) => T;
  /** How long work may go on that was handed to `waitUntil`. */
  readonly waitUntilMs: number;
  /** Told of each call that gave vectors. */
  readonly onEmbedded?: (result: EmbedResult) => void;
  /** Told of work handed to `waitUntil` that failed or did not end. */
  readonly onBackgroundFailure?: (invocationId: string, cause: unknown) => void;
}

/** What belongs to one run of a handler. */
export interface RunScope {
  readonly env: Env;
  readonly context: Pick<ExecutionContext, "waitUntil">;
}

/** One request, on its way to one handler. */
export interface Invocation {
  readonly id: string;
  readonly handler: Handler;
  /** Says a failure in the words of the handler's dialect. */
  readonly answerFailure?: AnswerFailure | undefined;
  readonly createEnv?: ((scope: AiScope) => Env) | undefined;
  readonly params: ExecutionContext["params"];
  /** Method, headers and signal; its body is not read. */
  readonly request: Request;
  /** What the handler sees as the request's URL: without the prefix of a mount. */
  readonly url: string;
  /** The whole body; undefined for a request without one. */
  readonly body: Uint8Array<ArrayBuffer> | undefined;
  /** On the host's Clock; the deadline counts from here. */
  readonly arrivedAtMs: number;
  /** The function's own limit, in place of `requestTimeoutMs`; no request may ask for more. */
  readonly timeoutMs?: number | undefined;
  readonly caller?: Caller | undefined;
}

/** What came of it. */
export interface InvocationResult {
  readonly response: Response;
  /** Set where `response` is our answer to a failure. */
  readonly error: AppError | undefined;
  readonly embedded: EmbedTally;
}

/** Sums over the calls of one invocation; the times are the longest, as its calls may run side by side. */
export interface EmbedTally {
  readonly texts: number;
  readonly tokens: number;
  readonly queueMs: number;
  readonly batchMs: number;
  /** Those that ran, each once. */
  readonly models: readonly { readonly name: string; readonly revision: string }[];
}

export const NO_TALLY: EmbedTally = { texts: 0, tokens: 0, queueMs: 0, batchMs: 0, models: [] };

export interface Invoker {
  /** Runs the handler; never rejects. */
  invoke(invocation: Invocation): Promise<InvocationResult>;
  /** Ends all that still runs, and what comes later: their signals abort, their clients get 503 `draining`. */
  abortAll(): void;
  /** Resolves when no work handed to `waitUntil` is left. */
  idle(): Promise<void>;
}

export const TIMEOUT_HEADER = "x-request-timeout-ms";

/** The queue has the same deadline and knows better where the call was, so it may answer first. */
const DEADLINE_GRACE_MS = 10;

/** Runs handlers, each under its own deadline and signal. */
export function createInvoker(options: InvokerOptions): Invoker {
  const { clock, within = (_scope, call) => call() } = options;
  const running = new Set<AbortController>();
  let isClosed = false;
  const background = createBackgroundWork({
    clock,
    waitUntilMs: options.waitUntilMs,
    failed: (id, cause) => options.onBackgroundFailure?.(id, cause),
  });

  async function invoke(invocation: Invocation): Promise<InvocationResult> {
    const { id, handler, request } = invocation;
    const controller = new AbortController();
    let tally = NO_TALLY;
    let isOver = false;
    let timer: { clear(): void } | undefined;
    try {
      if (isClosed) throw new AppError("draining");
      const deadlineAtMs = invocation.arrivedAtMs + readTimeoutMs(request.headers, limitsOf(invocation, options));
      followClient(request.signal, controller);
      controller.signal.throwIfAborted();
      running.add(controller);
      timer = clock.setTimer(deadlineAtMs + DEADLINE_GRACE_MS, () => {
        controller.abort(deadlineExceeded("in_flight"));
      });
      const scope = {
        id,
        // What goes on after the answer has a deadline of its own.
        deadlineAtMs: () => (isOver ? clock.nowMs() + options.requestTimeoutMs : deadlineAtMs),
        signal: controller.signal,
        caller: invocation.caller,
        embedded(result: EmbedResult) {
          if (!isOver) tally = addTo(tally, result);
          options.onEmbedded?.(result);
        },
      };
      const env = (invocation.createEnv ?? options.createEnv)(scope);
      const context: ExecutionContext = {
        params: invocation.params,
        waitUntil: background.createWaitUntil(id, () => isOver),
        passThroughOnException() {},
      };
      // In a function of its own, so that a handler that throws at once rejects too.
      const run = async (): Promise<unknown> => handler.fetch(toRequest(invocation, controller.signal), env, context);
      const answer = within({ env, context }, run);
      const response = checkResponse(await unlessAborted(answer, controller.signal));
      return { response, error: undefined, embedded: tally };
    } catch (thrown) {
      const isAborted = controller.signal.aborted;
      const error = toAppError(isAborted ? controller.signal.reason : thrown, "function_error");
      return { response: failureResponse(error, invocation.answerFailure), error, embedded: tally };
    } finally {
      isOver = true;
      timer?.clear();
      running.delete(controller);
    }
  }

  return {
    invoke,
    abortAll() {
      isClosed = true;
      for (const controller of running) controller.abort(new AppError("draining"));
    },
    idle: () => background.idle(),
  };
}

function limitsOf({ timeoutMs }: Invocation, options: TimeoutLimits): TimeoutLimits {
  if (timeoutMs === undefined) return options;
  const ownMs = Math.min(timeoutMs, options.requestTimeoutMsMax);
  return { requestTimeoutMs: ownMs, requestTimeoutMsMax: ownMs };
}

/** How long a request may take by its own wish; throws where the wish is none. */
export function readTimeoutMs(headers: Headers, options: TimeoutLimits): number {
  const value = headers.get(TIMEOUT_HEADER);
  if (value === null) return options.requestTimeoutMs;
  if (!/^0*[1-9]\d*$/.test(value)) {
    const message = `${TIMEOUT_HEADER} must be a whole number of milliseconds, 1 or more.`;
    throw new AppError("invalid_request", { param: TIMEOUT_HEADER, message });
  }
  return Math.min(Number(value), options.requestTimeoutMsMax);
}

/** Also after the handler has returned: the client may go away while its answer streams. */
function followClient(client: AbortSignal, controller: AbortController): void {
  const leave = (): void => controller.abort(new AppError("client_gone"));
  if (client.aborted) leave();
  else client.addEventListener("abort", leave, { once: true });
}

/** A Request of the platform's own class, which the handler may clone and copy; a server's look-alike may not bear that. */
function toRequest({ request, url, body, caller }: Invocation, signal: AbortSignal): Request {
  // HEAD is GET whose answer is not sent, which functions need not know.
  const method = request.method === "HEAD" ? "GET" : request.method;
  const headers = caller?.ownHeaders === undefined ? request.headers : new Headers(request.headers);
  for (const name of caller?.ownHeaders ?? []) headers.delete(name);
  return new Request(url, { method, headers, signal, ...(body !== undefined && { body }) });
}

/** What `answer` gives, or rejects with the reason of the signal as soon as that aborts. */
export async function unlessAborted(answer: Promise<unknown>, signal: AbortSignal): Promise<unknown> {
  let leave = (): void => {};
  const aborted = new Promise<never>((_, reject) => {
    leave = () => reject(signal.reason);
    signal.addEventListener("abort", leave, { once: true });
    if (signal.aborted) leave();
  });
  try {
    return await Promise.race([answer, aborted]);
  } finally {
    signal.removeEventListener("abort", leave);
    // Nobody will read what comes too late.
    if (signal.aborted) answer.then(cancelBody, () => {});
  }
}

function cancelBody(late: unknown): void {
  if (late instanceof Response && !late.bodyUsed) late.body?.cancel().catch(() => {});
}

/** Throws where the handler's value cannot be sent. */
function checkResponse(value: unknown): Response {
  if (!(value instanceof Response)) throw new TypeError("The function returned no Response.");
  if (value.bodyUsed || value.body?.locked === true) throw new TypeError("The function returned a used Response.");
  if (value.status < 200) throw new TypeError(`The function returned a Response of status ${value.status}.`);
  return value;
}

function addTo(tally: EmbedTally, result: EmbedResult): EmbedTally {
  const isKnown = tally.models.some(({ name, revision }) => name === result.model && revision === result.revision);
  return {
    models: isKnown ? tally.models : [...tally.models, { name: result.model, revision: result.revision }],
    texts: tally.texts + result.tokenCounts.length,
    tokens: tally.tokens + result.tokenCounts.reduce((sum, tokens) => sum + tokens, 0),
    queueMs: Math.max(tally.queueMs, result.queueMs),
    batchMs: Math.max(tally.batchMs, result.batchMs),
  };
}
