import { expect, test } from "vitest";
import { loadFaultyRoom } from "./faulty-room.ts";
import { plantedFairnessFaults } from "./planted-fairness.ts";
import { plantedFaults } from "./planted-faults.ts";
import { plantedWorkerFaults } from "./planted-worker-faults.ts";
import { runSeed } from "./world.ts";

/** Each fault must show within so many seeds. */
const SEEDS = 300;

test.each([...plantedFaults, ...plantedWorkerFaults, ...plantedFairnessFaults])(
  "the simulation notices: $fault",
  async ({ caughtBy, ...fault }) => {
    const room = await loadFaultyRoom([fault]);
    expect(() => {
      for (let seed = 1; seed <= SEEDS; seed += 1) runSeed(seed, room);
    }).toThrow(caughtBy);
  },
);

test("a copy without a fault passes the same seeds", async () => {
  const room = await loadFaultyRoom([]);
  for (let seed = 1; seed <= SEEDS; seed += 1) runSeed(seed, room);
});
