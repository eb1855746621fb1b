import { beforeEach, expect, test } from "vitest";
import type { Env, EventContext } from "../../functions/_types.ts";
import type { AiScope } from "../../runtime/routing/ai-scope.ts";
import { createEventInvoker, type EventInvoker } from "../../runtime/routing/event-invocation.ts";
import { createVirtualClock, type VirtualClock } from "../doubles/virtual-clock.ts";

let clock: VirtualClock;
let invoker: EventInvoker;
let scopes: AiScope[] = [];
let failures: unknown[] = [];
beforeEach(() => {
  clock = createVirtualClock();
  scopes = [];
  failures = [];
  invoker = createEventInvoker({
    clock,
    requestTimeoutMs: 100,
    eventTimeoutMs: 1_000,
    waitUntilMs: 500,
    onBackgroundFailure: (_id, cause) => failures.push(cause),
  });
});

const run = (handle: (env: Env, context: EventContext) => unknown): Promise<void> =>
  invoker.invokeEvent({
    id: "event",
    createEnv(scope) {
      scopes.push(scope);
      return {} as Env;
    },
    handle,
  });

test("a handler that throws, at once or later, is a rejection with its error", async () => {
  const error = new Error("thrown");
  await expect(
    run(() => {
      throw error;
    }),
  ).rejects.toBe(error);
  await expect(run(() => Promise.reject(error))).rejects.toBe(error);
});

test("a handler that never ends is given up at its limit, and its calls of env.AI abort", async () => {
  const ended = run(() => new Promise(() => {}));
  clock.advance(999);
  expect(scopes[0]?.signal.aborted).toBe(false);
  clock.advance(1);
  await expect(ended).rejects.toMatchObject({ code: "deadline_exceeded" });
  expect(scopes[0]?.signal.aborted).toBe(true);
});

test("each call of env.AI has a deadline of its own", async () => {
  const ended = run(() => new Promise(() => {})).catch(() => {});
  clock.advance(600);
  expect(scopes[0]?.deadlineAtMs()).toBe(clock.nowMs() + 100);
  invoker.abortAll();
  await ended;
});

test("abortAll ends what runs and refuses what comes", async () => {
  const ended = run(() => new Promise(() => {}));
  invoker.abortAll();
  await expect(ended).rejects.toMatchObject({ code: "draining" });
  await expect(run(() => undefined)).rejects.toMatchObject({ code: "draining" });
});

test("idle waits for handlers and for what they gave to waitUntil, whose failure is told", async () => {
  const work = Promise.withResolvers<void>();
  const handled = Promise.withResolvers<void>();
  const ended = run((_env, context) => {
    context.waitUntil(work.promise);
    return handled.promise;
  });
  let isIdle = false;
  const idle = invoker.idle().then(() => {
    isIdle = true;
  });
  handled.resolve();
  await ended;
  expect(isIdle).toBe(false);
  const failure = new Error("later");
  work.reject(failure);
  await idle;
  expect(failures).toEqual([failure]);
});
