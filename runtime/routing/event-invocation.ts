import type { Env, EventContext } from "../../functions/_types.ts";
import type { Clock } from "../clock.ts";
import { AppError, deadlineExceeded } from "../errors.ts";
import type { AiScope } from "./ai-scope.ts";
import { createBackgroundWork } from "./background-work.ts";
import { type InvokerOptions, unlessAborted } from "./invocation.ts";

export interface EventInvokerOptions extends Pick<InvokerOptions, "within" | "waitUntilMs" | "onBackgroundFailure"> {
  readonly clock: Clock;
  /** Deadline of each call of `env.AI` inside. */
  readonly requestTimeoutMs: number;
  /** How long a handler may run. */
  readonly eventTimeoutMs: number;
}

/** One event, on its way to its handler. */
export interface EventInvocation {
  readonly id: string;
  readonly createEnv: (scope: AiScope) => Env;
  readonly handle: (env: Env, context: EventContext) => unknown;
}

export interface EventInvoker {
  /** Runs the handler; rejects with what it throws, or with an AppError where it does not end in time. */
  invokeEvent(invocation: EventInvocation): Promise<void>;
  /** Ends all that still runs, and what comes later. */
  abortAll(): void;
  /** Resolves when no handler runs and no work of theirs is left. */
  idle(): Promise<void>;
}

/** Runs handlers of events, for which nobody waits at the other end of a line. */
export function createEventInvoker(options: EventInvokerOptions): EventInvoker {
  const { clock, within = (_scope, call) => call() } = options;
  const running = new Map<AbortController, Promise<void>>();
  let isClosed = false;
  const background = createBackgroundWork({
    clock,
    waitUntilMs: options.waitUntilMs,
    failed: (id, cause) => options.onBackgroundFailure?.(id, cause),
  });

  async function run({ id, createEnv, handle }: EventInvocation, controller: AbortController): Promise<void> {
    let isOver = false;
    const { signal } = controller;
    const env = createEnv({
      id,
      deadlineAtMs: () => clock.nowMs() + options.requestTimeoutMs,
      signal,
      embedded() {},
    });
    const context: EventContext = {
      waitUntil: background.createWaitUntil(id, () => isOver),
      passThroughOnException() {},
    };
    const timer = clock.setTimer(clock.nowMs() + options.eventTimeoutMs, () => {
      controller.abort(deadlineExceeded("in_flight"));
    });
    try {
      const call = async (): Promise<unknown> => handle(env, context);
      await unlessAborted(within({ env, context }, call), signal);
    } finally {
      isOver = true;
      timer.clear();
      running.delete(controller);
    }
  }

  return {
    invokeEvent(invocation) {
      if (isClosed) return Promise.reject(new AppError("draining"));
      const controller = new AbortController();
      const ended = run(invocation, controller);
      running.set(controller, ended);
      return ended;
    },
    abortAll() {
      isClosed = true;
      for (const controller of running.keys()) controller.abort(new AppError("draining"));
    },
    async idle() {
      await Promise.allSettled(running.values());
      await background.idle();
    },
  };
}
