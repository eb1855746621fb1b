import type { BatchResult } from "./worker-pool.ts";

/** What a process does over its batches that makes another one better. */
export interface WorkerHealth {
  /** After each batch: why the process should be replaced; undefined while it is well. */
  finished(result: BatchResult): string | undefined;
  /** After each batch that failed as a whole: the same. */
  failed(): string | undefined;
}

export interface WorkerHealthOptions {
  readonly memoryBytesMax: number;
  /** Whether time per token means something: on a GPU it depends on the size of the batch more than on anything else. */
  readonly watchesTime: boolean;
}

const MIB = 2 ** 20;
/** What a pass costs beside its tokens, in tokens: without it a batch of one short text would look slow. */
const PASS_TOKENS = 16;
/** The mean follows the last so many batches. */
const MEAN_BATCHES = 50;
const SLOWER_MAX = 3;
const FAILURES_MAX = 3;

/** Watches one process. */
export function createWorkerHealth({ memoryBytesMax, watchesTime }: WorkerHealthOptions): WorkerHealth {
  let batches = 0;
  let meanMs = 0;
  let bestMs = Infinity;
  let failures = 0;

  /** Times as slow as it was at its best. */
  const slowdown = ({ computeMs, tokenCounts }: BatchResult): number => {
    const msPerToken = computeMs / (PASS_TOKENS + tokenCounts.reduce((sum, count) => sum + count, 0));
    batches++;
    meanMs += (msPerToken - meanMs) / Math.min(batches, MEAN_BATCHES);
    if (batches < MEAN_BATCHES) return 1;
    bestMs = Math.min(bestMs, meanMs);
    return meanMs / bestMs;
  };

  return {
    finished(result) {
      failures = 0;
      const times = watchesTime ? slowdown(result) : 1;
      const { residentBytes = 0 } = result;
      if (residentBytes > memoryBytesMax) {
        return `holds ${Math.round(residentBytes / MIB)} MiB, more than ${Math.round(memoryBytesMax / MIB)}`;
      }
      return times > SLOWER_MAX ? `has become ${times.toFixed(1)} times as slow as it was` : undefined;
    },
    failed() {
      failures++;
      return failures >= FAILURES_MAX ? `failed ${failures} batches in a row` : undefined;
    },
  };
}
