import { expect, test } from "vitest";
import { cutFromHead } from "../../runtime/scheduler/batch-policy.ts";
import { createScheduler } from "../../runtime/scheduler/scheduler.ts";
import { runSeed } from "./world.ts";

/** `SIM_FIRST=70001 SIM_SEEDS=10000` runs other seeds than the usual ones; a failure names its seed. */
const first = Number(process.env["SIM_FIRST"] ?? 1);
const seeds = Number(process.env["SIM_SEEDS"] ?? 2_000);

/** Too rare to ask for in fewer worlds. */
const SEEDS_FOR_VARIETY = 100;

const events = [
  "batch",
  "prefetch",
  "pass",
  "suspects alone",
  "death",
  "discard",
  "grace",
  "batched",
  "late answer",
  "hopeless",
  "complete",
  "aborted",
  "queue_full",
  "tenant_queue_full",
  "evicted",
  "starting",
  "deadline_exceeded",
  "draining",
  "poison_input",
];

test(`every law holds after every event of ${seeds} worlds`, { timeout: 60_000 + 20 * seeds }, () => {
  const seen = new Map<string, number>();
  for (let seed = first; seed < first + seeds; seed += 1) {
    for (const [what, times] of runSeed(seed, { createScheduler, cutFromHead })) {
      seen.set(what, (seen.get(what) ?? 0) + times);
    }
  }
  const unseen = events.filter((what) => !seen.has(what));
  expect(seeds < SEEDS_FOR_VARIETY ? [] : unseen).toEqual([]);
  const faults = ["death", "discard", "aborted", "late answer", "grace"].reduce(
    (sum, what) => sum + (seen.get(what) ?? 0),
    0,
  );
  // So that 10,000 worlds are a million inputs and more.
  expect(seeds < SEEDS_FOR_VARIETY ? Infinity : seen.get("input")).toBeGreaterThan(100 * seeds);
  expect(seeds < SEEDS_FOR_VARIETY ? Infinity : faults).toBeGreaterThan(10 * seeds);
});
