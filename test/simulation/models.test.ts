import { expect, test } from "vitest";
import { cutFromHead } from "../../runtime/scheduler/batch-policy.ts";
import { createScheduler } from "../../runtime/scheduler/scheduler.ts";
import { loadFaultyRoom } from "./faulty-room.ts";
import { plantedModelFaults } from "./planted-model-faults.ts";
import { runSeed } from "./world.ts";

/** `SIM_FIRST` and `SIM_SEEDS` as for one model. */
const first = Number(process.env["SIM_FIRST"] ?? 1);
const seeds = Number(process.env["SIM_SEEDS"] ?? 1_000);

/** Each fault must show within so many seeds. */
const FAULT_SEEDS = 300;
const MODELS = 3;

const events = ["load", "unload", "model_unavailable", "model_too_large", "complete", "death", "deadline_exceeded"];

test(
  `every law holds after every event of ${seeds} worlds with several models`,
  { timeout: 60_000 + 20 * seeds },
  () => {
    const seen = new Map<string, number>();
    for (let seed = first; seed < first + seeds; seed += 1) {
      for (const [what, times] of runSeed(seed, { createScheduler, cutFromHead }, { models: MODELS })) {
        seen.set(what, (seen.get(what) ?? 0) + times);
      }
    }
    expect(events.filter((what) => !seen.has(what))).toEqual([]);
    expect(seen.get("unload")).toBeGreaterThan(seeds / 2);
  },
);

test.each(plantedModelFaults)("the simulation notices: $fault", async ({ caughtBy, ...fault }) => {
  const room = await loadFaultyRoom([fault]);
  expect(() => {
    for (let seed = 1; seed <= FAULT_SEEDS; seed += 1) runSeed(seed, room, { models: MODELS });
  }).toThrow(caughtBy);
});
