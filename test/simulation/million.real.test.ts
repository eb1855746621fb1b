import { availableParallelism } from "node:os";
import { expect, test } from "vitest";
import { runSeedsInThreads } from "./seeds.ts";

/** Others than those of simulation.test.ts. */
const FIRST = 100_001;
const SEEDS = 21_500;

test(
  "every law holds after every event over a million requests and ten thousand faults (Q18, Q19, Q35)",
  { timeout: 600_000 },
  async () => {
    const seen = await runSeedsInThreads(FIRST, SEEDS, Math.min(4, availableParallelism()));
    expect(seen.get("call")).toBeGreaterThanOrEqual(1_000_000);
    expect((seen.get("death") ?? 0) + (seen.get("discard") ?? 0)).toBeGreaterThanOrEqual(10_000);
  },
);
