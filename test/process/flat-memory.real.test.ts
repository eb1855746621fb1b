import { expect, test } from "vitest";

import type { BatchRequest } from "../../runtime/pool/worker-pool.ts";
import { createChance } from "../simulation/random.ts";
import { createPoolRecorder } from "../doubles/pool-recorder.ts";
import { makeRealPool } from "../doubles/real-pool.ts";
import { REAL_MODEL } from "../doubles/real-worker.ts";

const BATCH = 32;
/** By then MLX keeps as many freed buffers as it may; after it nothing should grow. */
const WARM_UP_TEXTS = 2_000;
const TEXTS = 20_000;
const words = [
  "river",
  "mountain",
  "library",
  "music",
  "garden",
  "window",
  "coffee",
  "train",
  "engine",
  "silver",
] as const;

test.runIf(process.platform === "linux")(
  "20,000 texts of random lengths leave a worker with at most a tenth more memory than 2,000 did (W39)",
  { timeout: 240_000 },
  async () => {
    await using real = makeRealPool();
    const recorder = createPoolRecorder();
    await real.pool.start(recorder);
    const workerId = recorder.ready[0]?.id ?? "";
    const chance = createChance(20_000);

    /** Mostly a few words; one in a hundred up to the model's limit. */
    const text = (): string => {
      const length = chance.between(1, chance.happens(0.01) ? 254 : 6);
      return Array.from({ length }, () => chance.pick(words)).join(" ");
    };
    const batch = (): BatchRequest => {
      const texts = Array.from({ length: BATCH }, text);
      return { model: REAL_MODEL, pooling: "default", normalize: true, texts };
    };
    /** Runs batches two at a time; the memory after the last. */
    const run = async (texts: number): Promise<number> => {
      let residentBytes = 0;
      let left = texts;
      const lane = async (): Promise<void> => {
        while (left > 0) {
          left -= BATCH;
          const result = await real.pool.run(workerId, batch());
          expect(result.failedRows).toEqual([]);
          residentBytes = result.residentBytes ?? 0;
        }
      };
      await Promise.all([lane(), lane()]);
      return residentBytes;
    };

    const startBytes = await run(WARM_UP_TEXTS);
    expect(startBytes).toBeGreaterThan(100 * 2 ** 20);
    const endBytes = await run(TEXTS);
    expect(endBytes).toBeLessThanOrEqual(1.1 * startBytes);
  },
);
