import { describe, expect, test } from "vitest";
import { cutFromHead } from "../../runtime/scheduler/batch-policy.ts";
import type { CallId, SchedulerCommand } from "../../runtime/scheduler/events.ts";
import * as room from "../../runtime/scheduler/scheduler.ts";
import { Agenda } from "./agenda.ts";
import { loadFaultyRoom } from "./faulty-room.ts";
import { createChance } from "./random.ts";
import type { SchedulerRoom } from "./world.ts";

const LIMITS = {
  inputsMax: 8,
  paddedTokensMax: 400,
  queueInputsMax: 100,
  queueTokensMax: 100_000,
  batchTimeoutMs: 30_000,
  attemptsMax: 8,
};
/** Clients think this long on average between an answer and their next call. */
const THINK_MS = 1_000;
const TOKENS = 32;
const MS_PER_PADDED_TOKEN = 0.1;
const WORKERS = 2;
/** What the workers can do, in calls of one input. */
const CALLS_PER_MS = WORKERS / (MS_PER_PADDED_TOKEN * TOKENS);

const [WARM_UP_MS, END_MS] = [60_000, 240_000];

interface Outcome {
  firstRetries: number;
  admitted: number;
  completed: number;
}

/** A closed loop: each client thinks, calls, waits exactly as long as it is told where it is refused, and calls again. */
function live(seed: number, load: number, { createScheduler }: Pick<SchedulerRoom, "createScheduler">): Outcome {
  const chance = createChance(seed);
  const agenda = new Agenda();
  const scheduler = createScheduler(LIMITS, cutFromHead, () => chance.next());
  const outcome: Outcome = { firstRetries: 0, admitted: 0, completed: 0 };
  const attempts = new Map<CallId, number>();
  const busyUntilMs = new Map<string, number>();
  let calls = 0;
  let nowMs = 0;
  const think = (): void => {
    agenda.at(nowMs - THINK_MS * Math.log(1 - chance.next()), () => call(1));
  };
  const call = (attempt: number): void => {
    const id = ++calls;
    attempts.set(id, attempt);
    const isCounted = attempt === 2 && nowMs >= WARM_UP_MS;
    if (isCounted) outcome.firstRetries += 1;
    const submitted = { id, batchKey: "k", inputTokens: [TOKENS], deadlineAtMs: Infinity };
    const commands = scheduler.handle({ type: "call_submitted", call: submitted, atMs: nowMs });
    if (isCounted && !commands.some(({ type }) => type === "reject_call")) outcome.admitted += 1;
    obey(commands);
  };
  const obey = (commands: readonly SchedulerCommand[]): void => {
    for (const command of commands) {
      if (command.type === "run_batch") {
        const { workerId, batch } = command;
        const endsAtMs = Math.max(nowMs, busyUntilMs.get(workerId) ?? 0) + batch.paddedTokens * MS_PER_PADDED_TOKEN;
        busyUntilMs.set(workerId, endsAtMs);
        agenda.at(endsAtMs, () =>
          obey(scheduler.handle({ type: "batch_finished", batchId: batch.id, failedInputs: [], atMs: nowMs })),
        );
      } else if (command.type === "complete_call") {
        if (nowMs >= WARM_UP_MS) outcome.completed += 1;
        attempts.delete(command.callId);
        think();
      } else if (command.type === "reject_call") {
        const attempt = attempts.get(command.callId) ?? 0;
        attempts.delete(command.callId);
        agenda.at(nowMs + command.retryAfterMs, () => call(attempt + 1));
      }
    }
  };
  for (let worker = 1; worker <= WORKERS; worker += 1) {
    obey(scheduler.handle({ type: "worker_ready", workerId: `worker ${worker}`, permits: 2, atMs: 0 }));
  }
  for (let client = 0; client < load * CALLS_PER_MS * THINK_MS; client += 1) think();
  for (let entry = agenda.next(); entry !== undefined && entry.atMs < END_MS; entry = agenda.next()) {
    nowMs = entry.atMs;
    entry.happen(nowMs);
  }
  return outcome;
}

describe.each([1, 2, 3])("Q24: clients that want twice what the host can do, seed %i", (seed) => {
  const { firstRetries, admitted, completed } = live(seed, 2, room);

  test("get in on their first retry in at least 80 of 100 cases, where they wait exactly as told", () => {
    expect(firstRetries).toBeGreaterThan(1_000);
    expect(admitted / firstRetries).toBeGreaterThanOrEqual(0.8);
  });

  test("and the host has no less to do for it", () => {
    expect(completed / ((END_MS - WARM_UP_MS) * CALLS_PER_MS)).toBeGreaterThan(0.95);
  });
});

test("Q24: told the drain time of the queue alone, most of them would be refused again", async () => {
  const find = "Math.max(tokens, awayTokens / RETURN_SHARE)";
  const naive = await loadFaultyRoom([{ file: "retry-after.ts", find, replace: "tokens" }]);
  const { firstRetries, admitted } = live(1, 2, naive);
  expect(admitted / firstRetries).toBeLessThan(0.7);
});
