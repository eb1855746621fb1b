import { array, assert, check, integer, property, record, type Arbitrary } from "fast-check";
import { expect, test } from "vitest";
import { cutFromHead } from "../../runtime/scheduler/batch-policy.ts";
import type { SchedulerEvent, SchedulerLimits } from "../../runtime/scheduler/events.ts";
import { createScheduler } from "../../runtime/scheduler/scheduler.ts";
import { loadFaultyRoom } from "./faulty-room.ts";
import { Referee } from "./referee.ts";
import type { SchedulerRoom } from "./world.ts";

/** One thing that happens; what it happens to is chosen by `a` and `b` from what there is. */
interface Move {
  readonly what: number;
  readonly a: number;
  readonly b: number;
  readonly waitMs: number;
}

const small = integer({ min: 0, max: 7 });
const moves: Arbitrary<readonly Move[]> = array(
  record({ what: small, a: small, b: small, waitMs: integer({ min: 1, max: 60 }) }),
  { maxLength: 60 },
);
const limits: SchedulerLimits = {
  inputsMax: 4,
  paddedTokensMax: 64,
  queueInputsMax: 20,
  queueTokensMax: 200,
  batchTimeoutMs: 100,
  attemptsMax: 4,
  lookAheadInputsMax: 0,
  batchTargetMs: Infinity,
};

/** Plays the moves on a scheduler with the referee beside it; throws at the first law that does not hold. */
function play(played: readonly Move[], { createScheduler: create, cutFromHead: cut }: SchedulerRoom): void {
  const scheduler = create(limits, cut, () => 0.5);
  const referee = new Referee({ limits, tenants: 1, isPoison: () => false });
  const flying: { readonly batchId: number; readonly workerId: string }[] = [];
  const workers: string[] = [];
  let [nowMs, calls, timerAtMs, started] = [0, 0, Infinity, 0];
  const tell = (event: WithoutTime<SchedulerEvent>): void => {
    const timed: SchedulerEvent = { ...event, atMs: nowMs };
    const commands = scheduler.handle(timed);
    for (const command of commands) {
      if (command.type === "run_batch") flying.push({ batchId: command.batch.id, workerId: command.workerId });
      if (command.type === "set_timer") timerAtMs = command.atMs;
      if (command.type === "discard_worker") workers.splice(workers.indexOf(command.workerId), 1);
    }
    referee.check(timed, commands, scheduler.snapshot());
  };
  for (const { what, a, b, waitMs } of played) {
    const endMs = nowMs + waitMs;
    while (timerAtMs <= endMs) {
      nowMs = Math.max(nowMs, timerAtMs);
      timerAtMs = Infinity;
      tell({ type: "timer_fired" });
    }
    nowMs = endMs;
    // A worker takes its batches one by one.
    const { workerId: finishing } = flying[a % Math.max(1, flying.length)] ?? {};
    const first = flying.findIndex(({ workerId }) => workerId === finishing);
    const worker = workers[a % Math.max(1, workers.length)];
    if (what >= 5 && first !== -1) {
      for (const { batchId } of flying.splice(first, 1)) tell({ type: "batch_finished", batchId, failedInputs: [] });
    } else if (what >= 2) {
      calls += 1;
      const inputTokens = Array.from({ length: 1 + a }, () => 1 + b * 4);
      const deadlineAtMs = nowMs + (b === 0 ? 30 : 10_000);
      tell({ type: "call_submitted", call: { id: calls, batchKey: b > 5 ? "b" : "a", inputTokens, deadlineAtMs } });
    } else if (what === 1 && calls > 0) tell({ type: "call_aborted", callId: 1 + (a % calls) });
    else if (b > 5 && worker !== undefined) {
      workers.splice(workers.indexOf(worker), 1);
      tell({ type: "worker_lost", workerId: worker });
    } else if (workers.length < 3) {
      const workerId = `worker ${++started}`;
      workers.push(workerId);
      tell({ type: "worker_ready", workerId, permits: 1 + (a % 2) });
    }
  }
}

test("every law holds whatever happens in whatever order (Q03, Q18, Q19, Q20, Q21)", { timeout: 60_000 }, () => {
  assert(
    property(moves, (played) => play(played, { createScheduler, cutFromHead })),
    { numRuns: 3_000, seed: 1 },
  );
});

test("a fault is shrunk to the few moves that show it", { timeout: 60_000 }, async () => {
  const room = await loadFaultyRoom([
    {
      file: "scheduler.ts",
      find: "for (const input of call.inputs) if (input.list !== undefined)",
      replace: "for (const input of call.inputs.slice(0, -1)) if (input.list !== undefined)",
    },
  ]);
  const found = check(
    property(moves, (played) => play(played, room)),
    { numRuns: 3_000, seed: 1 },
  );
  expect(found.failed).toBe(true);
  expect(found.counterexample?.[0].length).toBeLessThanOrEqual(3);
});

type WithoutTime<T> = T extends unknown ? Omit<T, "atMs"> : never;
