import { Agent } from "node:http";
import type { Clock } from "../clock.ts";
import { AppError } from "../errors.ts";
import { forward, hasBody } from "../http/forward.ts";
import { errorResponse } from "../routing/error-response.ts";
import type { FunctionCall, FunctionResult, FunctionRunner } from "../routing/function-runner.ts";
import { readTimeoutMs, type TimeoutLimits } from "../routing/invocation.ts";
import { TRIGGER_PATHS } from "../routing/trigger-handlers.ts";
import type { ChildOptions } from "./child.ts";
import { watchPort } from "./port-watch.ts";
import { watchForStuck } from "./stuck-watch.ts";
import { createWranglerProcess } from "./wrangler-process.ts";

export interface EmulatorOptions {
  readonly clock: Clock;
  /** From [0, 1). */
  readonly random: () => number;
  /** Those that the functions in workerd keep. */
  readonly limits: TimeoutLimits & { readonly bodyTimeoutMs: number };
  /** Told of what goes wrong while it serves. */
  readonly log: (message: string) => void;
}

/** Functions in workerd. */
export interface Emulator extends FunctionRunner {
  /** Resolves when the functions can serve; rejects where they never will. */
  start(options: ChildOptions): Promise<void>;
  /** Ends workerd and wrangler; resolves when no process is left. */
  stop(): Promise<void>;
  /** The same at once, for a process that is about to exit. */
  kill(): void;
}

/** How long a request waits for a workerd that is being started again, as after each change of a function. */
const WAIT_MS = 2_000;
/** wrangler starts a workerd that died again by itself; if none listens by then, wrangler is started again. */
const DOWN_MS_MAX = 10_000;
const RETRY_AFTER_MS = 1_000;
/** The functions answer at their deadline by themselves, unless one of them loops and lets nothing else run. */
const STUCK_MS = 1_000;
/** No file's route is like that, so the functions answer it at once, unless they are stuck. */
const PROBE_URL = new URL("http://localhost//");
/** workerd closes idle connections after 5 s; ours go sooner, so that none is closed under a request. */
const IDLE_MS_MAX = 2_000;
/** For metrics: which route it was, workerd knows. */
const ROUTE = "workerd";

/** Runs functions in workerd, by wrangler's own development server. Nothing starts before `start`. */
export function createEmulator({ clock, random, limits, log }: EmulatorOptions): Emulator {
  const agent = new Agent({ keepAlive: true, timeout: IDLE_MS_MAX });
  const port = watchPort(clock);
  const wrangler = createWranglerProcess({ clock, random, log, onServing: (target) => port.follow(target) });
  port.onDown(DOWN_MS_MAX, () => wrangler.restart());

  async function send(call: FunctionCall): Promise<Response> {
    const target = await port.untilListening(WAIT_MS);
    if (target === undefined) throw new Error("workerd does not listen");
    const { request, id, caller } = call;
    // The path that this wrangler knows.
    const url = TRIGGER_PATHS.includes(call.url.pathname)
      ? new URL(`${TRIGGER_PATHS[1]}${call.url.search}`, call.url)
      : call.url;
    const stuck = new AbortController();
    const watch = watchForStuck({
      clock,
      everyMs: timeLimitMs(request, limits),
      answers: () => answersAt(target, agent),
      stuck() {
        log("workerd is stuck, most likely in a loop of a function; it is started again.");
        stuck.abort();
        wrangler.restart();
      },
    });
    try {
      const headers = { "x-request-id": id };
      const without = caller?.ownHeaders ?? [];
      return await forward(request, { target, agent, url, headers, without, signal: stuck.signal });
    } catch (error) {
      port.check();
      // Nothing was sent, so nothing can run twice.
      const isUnsent = error instanceof Error && "code" in error && error.code === "ECONNREFUSED";
      if (isUnsent && !hasBody(request)) return send(call);
      throw error;
    } finally {
      watch.clear();
    }
  }

  return {
    problem: () => (port.isListening() ? undefined : "workerd does not listen yet."),
    async run(call) {
      try {
        const response = await send(call);
        // What has no id comes from a Worker with a `main` of its own, or, where it is a failure, from what should have run the functions.
        const isTrigger = TRIGGER_PATHS.includes(call.url.pathname);
        const isAnswer = isTrigger || response.status < 500 || response.headers.has("x-request-id");
        if (isAnswer) return answered(response);
        await response.body?.cancel();
        return failed(new AppError("function_error", { cause: new Error(`workerd answered ${response.status}`) }));
      } catch (cause) {
        if (call.request.signal.aborted) return failed(new AppError("client_gone", { cause }));
        const message = "workerd ended; it is being started again.";
        return failed(new AppError("worker_failed", { message, retryAfterMs: RETRY_AFTER_MS, cause }));
      }
    },
    async start(options) {
      await wrangler.start(options);
      await port.untilListening(WAIT_MS);
    },
    async stop() {
      port.follow(undefined);
      agent.destroy();
      await wrangler.stop();
    },
    kill: () => wrangler.kill(),
  };
}

async function answersAt(target: URL, agent: Agent): Promise<boolean> {
  try {
    const signal = AbortSignal.timeout(STUCK_MS);
    const answer = await forward(new Request(PROBE_URL), { target, agent, url: PROBE_URL, headers: {}, signal });
    await answer.body?.cancel();
    return true;
  } catch {
    return false;
  }
}

/** When a function without a limit of its own should have answered. */
function timeLimitMs(request: Request, limits: EmulatorOptions["limits"]): number {
  let timeoutMs = limits.requestTimeoutMsMax;
  try {
    timeoutMs = readTimeoutMs(request.headers, limits);
  } catch {
    // The functions refuse it.
  }
  return timeoutMs + STUCK_MS + (hasBody(request) ? limits.bodyTimeoutMs : 0);
}

function answered(response: Response): FunctionResult {
  return { response, error: undefined, embedded: undefined, route: ROUTE };
}

function failed(error: AppError): FunctionResult {
  return { response: errorResponse(error), error, embedded: undefined, route: ROUTE };
}
