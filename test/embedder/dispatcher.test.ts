import { afterEach, expect, test } from "vitest";
import { createDispatcher, type Dispatcher, type DispatchCall } from "../../runtime/embedder/dispatcher.ts";
import { AppError } from "../../runtime/errors.ts";
import { cutFromHead } from "../../runtime/scheduler/batch-policy.ts";
import type { SchedulerLimits } from "../../runtime/scheduler/events.ts";
import { createScheduler } from "../../runtime/scheduler/scheduler.ts";
import { fakeVector, rows } from "../doubles/fake-answer.ts";
import { submitTo } from "../doubles/submit-to.ts";
import { createScriptedPool, type ScriptedPool } from "../doubles/scripted-pool.ts";
import { createVirtualClock, type VirtualClock } from "../doubles/virtual-clock.ts";

const LIMITS: SchedulerLimits = {
  inputsMax: 4,
  paddedTokensMax: 1_000,
  queueInputsMax: 8,
  queueTokensMax: 10_000,
  batchTimeoutMs: 5_000,
  attemptsMax: 8,
};

interface World {
  readonly dispatcher: Dispatcher;
  readonly pool: ScriptedPool;
  readonly clock: VirtualClock;
  readonly permitWaitsMs: number[];
}

let world: World;
afterEach(() => world.pool.stop(0));

test("puts the rows of several batches together in input order (I4)", async () => {
  world = await createWorld({ answers: "at_once" });
  const texts = ["a", "b", "c", "d", "e", "f"];
  const result = await submit(texts);
  expect(world.pool.started.length).toBeGreaterThan(1);
  expect(rows(result.data, result.dimensions)).toEqual(texts.map((text) => [...fakeVector(text)]));
  expect(result.tokenCounts).toEqual(texts.map(() => 3));
});

test("calls of different pooling never share a batch", async () => {
  world = await createWorld({ answers: "at_once" });
  await Promise.all([submit(["a"], { pooling: "mean" }), submit(["b"], { pooling: "cls" })]);
  expect(world.pool.started.map(({ request }) => request.texts)).toEqual([["a"], ["b"]]);
});

test.each([{ promptName: "query" }, { prompt: "query: " }, { dimensions: 4 }, { truncationSide: "left" as const }])(
  "a call with %j shares no batch with one without, and the pool is told of it",
  async (options) => {
    world = await createWorld({ answers: "at_once" });
    await Promise.all([submit(["a"]), submit(["b"], options), submit(["c"], options)]);
    expect(world.pool.started.map(({ request }) => request.texts)).not.toContainEqual(["a", "b"]);
    const asked = world.pool.started.filter(({ request }) => !request.texts.includes("a"));
    expect(asked.map(({ request }) => request)).toContainEqual(expect.objectContaining(options));
  },
);

test("Q06 an already aborted call takes no place and leaves no listener", async () => {
  world = await createWorld({ answers: "by_hand" });
  const refused = submit(["a"], { signal: AbortSignal.abort() });
  await expect(refused).rejects.toMatchObject({ code: "client_gone" });
  expect(world.dispatcher.snapshot()).toMatchObject({ liveCalls: 0, queueInputs: 0 });
  expect(world.pool.started).toEqual([]);
});

test("Q01 a call that is aborted while it waits never reaches a worker", async () => {
  world = await createWorld({ answers: "by_hand", workerPermits: [1] });
  const first = submit(["first"]);
  const gone = new AbortController();
  const waiting = submit(["waiting"], { signal: gone.signal });
  const last = submit(["last"]);
  gone.abort();
  await expect(waiting).rejects.toMatchObject({ code: "client_gone" });
  world.pool.finishAll();
  await first;
  world.pool.finishAll();
  await last;
  expect(world.pool.started.map(({ request }) => request.texts)).toEqual([["first"], ["last"]]);
});

test("Q02 a call that is aborted in flight keeps its permit until the worker answers, and its neighbours get their rows", async () => {
  world = await createWorld({ answers: "by_hand", workerPermits: [1] });
  const head = submit(["head"]);
  const gone = new AbortController();
  const aborted = submit(["aborted"], { signal: gone.signal });
  const neighbour = submit(["neighbour"]);
  world.pool.finishAll();
  await head;
  expect(world.pool.running[0]?.request.texts).toEqual(["aborted", "neighbour"]);
  gone.abort();
  await expect(aborted).rejects.toMatchObject({ code: "client_gone" });
  expect(world.dispatcher.snapshot()).toMatchObject({ freePermits: 0, flights: 1 });
  world.pool.finishAll();
  expect(rows((await neighbour).data, 8)).toEqual([[...fakeVector("neighbour")]]);
  expect(world.dispatcher.snapshot()).toMatchObject({ freePermits: 1, flights: 0, liveInputs: 0 });
});

test("W01 a worker that dies in a batch loses nothing: its texts run again", async () => {
  world = await createWorld({ answers: "by_hand", workerPermits: [1] });
  const call = submit(["a", "b"]);
  const [run] = world.pool.running;
  world.pool.lose(run?.workerId ?? "");
  await expect.poll(() => world.pool.started.length).toBe(2);
  world.pool.finishAll();
  const result = await call;
  expect(rows(result.data, 8)).toEqual([[...fakeVector("a")], [...fakeVector("b")]]);
});

test("W04 a batch that is overdue costs its worker, not its call", async () => {
  world = await createWorld({ answers: "by_hand", workerPermits: [1] });
  const call = submit(["slow"], { deadlineAtMs: 60_000 });
  world.clock.advance(LIMITS.batchTimeoutMs + 1);
  await expect.poll(() => world.pool.started.length).toBe(2);
  world.pool.finishAll();
  await expect(call).resolves.toMatchObject({ dimensions: 8 });
});

test("Q08 a deadline that passes in the queue ends the call at that moment, naming the phase", async () => {
  world = await createWorld({ answers: "by_hand", workerPermits: [1] });
  const running = submit(["running"]);
  const waiting = submit(["waiting"], { deadlineAtMs: world.clock.nowMs() + 50 });
  world.clock.advance(49);
  expect(world.dispatcher.snapshot().liveCalls).toBe(2);
  world.clock.advance(1);
  await expect(waiting).rejects.toMatchObject({ code: "deadline_exceeded", param: "queued" });
  world.pool.finishAll();
  await running;
});

test("Q23 a full queue refuses at once, with a time to come back", async () => {
  world = await createWorld({ answers: "by_hand", workerPermits: [1] });
  const running = submit(["running"]);
  const filling = submit(["1", "2", "3", "4", "5", "6", "7", "8"]);
  const error = await submit(["too much"]).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(AppError);
  expect(error).toMatchObject({ code: "queue_full" });
  expect((error as AppError).retryAfterMs).toBeGreaterThanOrEqual(1_000);
  for (const call of [running, filling]) void call.catch(() => undefined);
  while (world.pool.running.length > 0) {
    world.pool.finishAll();
    await Promise.resolve();
    await Promise.resolve();
  }
  await Promise.all([running, filling]);
});

test("Q30 a text without a valid vector fails alone, with its index", async () => {
  world = await createWorld({ answers: "at_once", workerPermits: [1] });
  const blocker = submit(["x"]);
  const bad = submit(["fine", "fault:nan_row"]);
  const good = submit(["good"]);
  await expect(bad).rejects.toMatchObject({ code: "poison_input", param: "text[1]" });
  await expect(good).resolves.toMatchObject({ tokenCounts: [3] });
  await blocker;
});

test("the wait for a permit is told once a call", async () => {
  world = await createWorld({ answers: "by_hand", workerPermits: [1] });
  const first = submit(["first"]);
  const second = submit(["second"]);
  world.clock.advance(30);
  world.pool.finishAll();
  await first;
  world.pool.finishAll();
  expect((await second).queueMs).toBe(30);
  expect(world.permitWaitsMs).toEqual([0, 30]);
});

test("calls that arrive in one turn of the event loop share a batch", async () => {
  const deferred: (() => void)[] = [];
  world = await createWorld({ answers: "by_hand", workerPermits: [1], deferred });
  const gone = new AbortController();
  const calls = [submit(["first"]), submit(["second"]), submit(["gone"], { signal: gone.signal }), submit(["third"])];
  gone.abort();
  expect([world.pool.started.length, deferred.length]).toEqual([0, 1]);
  for (const run of deferred) run();
  expect(world.pool.running.map(({ request }) => request.texts)).toEqual([["first", "second", "third"]]);
  world.pool.finishAll();
  const outcomes = await Promise.allSettled(calls);
  expect(outcomes.map(({ status }) => status)).toEqual(["fulfilled", "fulfilled", "rejected", "fulfilled"]);
});

test("calls of turns that follow each other share a batch, which starts with the first turn that brings none", async () => {
  const deferred: (() => void)[] = [];
  world = await createWorld({ answers: "by_hand", workerPermits: [1], deferred });
  const turn = (): void => deferred.shift()?.();
  const calls = [submit(["first"])];
  turn();
  calls.push(submit(["second"]), submit(["third"]));
  turn();
  expect(world.pool.started).toHaveLength(0);
  turn();
  expect(world.pool.running.map(({ request }) => request.texts)).toEqual([["first", "second", "third"]]);
  world.pool.finishAll();
  await Promise.all(calls);
});

test("a stream of calls without a pause is submitted after four turns", async () => {
  const deferred: (() => void)[] = [];
  world = await createWorld({ answers: "by_hand", workerPermits: [1], deferred });
  const calls: Promise<unknown>[] = [];
  for (let turn = 1; turn <= 4; turn++) {
    expect(world.pool.started).toHaveLength(0);
    calls.push(submit([`of turn ${turn}`]));
    deferred.shift()?.();
  }
  expect(world.pool.running.map(({ request }) => request.texts.length)).toEqual([4]);
  world.pool.finishAll();
  await Promise.all(calls);
});

test("tenant and priority of a call decide when it starts", async () => {
  world = await createWorld({ answers: "by_hand", workerPermits: [1] });
  const running = submit(["running"]);
  const calls = [submit(["bulk"], { priority: "bulk" })];
  calls.push(submit(["first of ada", "second of ada"], { tenant: "ada" }));
  calls.push(submit(["of bob"], { tenant: "bob" }));
  world.pool.finishAll();
  await running;
  expect(world.pool.started[1]?.request.texts).toEqual(["first of ada", "of bob", "second of ada", "bulk"]);
  world.pool.finishAll();
  await Promise.all(calls);
});

test("Q22 permits taken away are not used again", async () => {
  world = await createWorld({ answers: "by_hand", workerPermits: [1] });
  world.dispatcher.permitsChanged(world.pool.status().workers[0]?.id ?? "", 0);
  const waiting = submit(["waiting"]);
  expect(world.dispatcher.snapshot()).toMatchObject({ queueInputs: 1, flights: 0, freePermits: 0 });
  world.dispatcher.permitsChanged(world.pool.status().workers[0]?.id ?? "", 1);
  world.pool.finishAll();
  await waiting;
});

test("Q03 a call that is aborted in the instant of its deadline ends once, and harms nobody", async () => {
  world = await createWorld({ answers: "by_hand", workerPermits: [1] });
  const running = submit(["running"]);
  const abort = new AbortController();
  const deadlineAtMs = world.clock.nowMs() + 10;
  // Set before the scheduler's own timer, so it fires first.
  world.clock.setTimer(deadlineAtMs, () => abort.abort());
  const waiting = submit(["waiting"], { deadlineAtMs, signal: abort.signal });
  world.clock.advance(10);
  await expect(waiting).rejects.toMatchObject({ code: "deadline_exceeded" });
  world.pool.finishAll();
  await running;
  expect(world.dispatcher.snapshot()).toMatchObject({ queueInputs: 0, liveInputs: 0, freePermits: 1 });
});

test("drain refuses what comes, finishes what runs and leaves no timer", async () => {
  world = await createWorld({ answers: "by_hand", workerPermits: [1] });
  const running = submit(["running"]);
  const drained = world.dispatcher.drain(10_000);
  await expect(submit(["late"])).rejects.toMatchObject({ code: "draining", retryAfterMs: 1_000 });
  world.pool.finishAll();
  await running;
  await drained;
  expect(world.clock.timers).toBe(0);
});

interface Script {
  readonly answers: "at_once" | "by_hand";
  readonly workerPermits?: readonly number[];
  /** Where the work of the next turn goes; without it there is no wait for one. */
  readonly deferred?: (() => void)[];
}

async function createWorld(script: Script): Promise<World> {
  const clock = createVirtualClock();
  const pool = createScriptedPool({ ...script, clock });
  const permitWaitsMs: number[] = [];
  const dispatcher = createDispatcher({
    scheduler: createScheduler(LIMITS, cutFromHead, () => 0.5),
    pool,
    clock,
    defer: (run) => (script.deferred === undefined ? run() : void script.deferred.push(run)),
    observer: {
      permitWaited: (waitMs) => permitWaitsMs.push(waitMs),
      batchEnded: () => {},
    },
  });
  await pool.start(dispatcher);
  return { dispatcher, pool, clock, permitWaitsMs };
}

function submit(texts: readonly string[], changes?: Partial<DispatchCall>): ReturnType<Dispatcher["submit"]> {
  return submitTo(world, texts, changes);
}
