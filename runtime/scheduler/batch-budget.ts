import type { BatchBudget, SchedulerLimits } from "./events.ts";

/** Long enough to fill a batch on a fast worker, short enough for a text that waits behind it on a slow one. */
const BATCH_TARGET_MS = 250;

/** What the size of the next batch depends on. */
export interface BatchSituation {
  readonly waitingInputs: number;
  readonly idleWorkers: number;
  /** How many tokens one worker should get through in that time; Infinity before the first batch. */
  readonly tokensWithin: (durationMs: number) => number;
}

/** The bounds of the next batch: idle workers share what waits, so that one call uses them all; slow ones get less at a time. */
export function nextBudget(limits: SchedulerLimits, situation: BatchSituation): BatchBudget {
  const { waitingInputs, idleWorkers, tokensWithin } = situation;
  const share = idleWorkers === 0 ? Infinity : Math.ceil(waitingInputs / idleWorkers);
  const inTimeMax = tokensWithin(limits.batchTargetMs ?? BATCH_TARGET_MS);
  return {
    ...limits,
    inputsMax: Math.min(limits.inputsMax, share),
    tokensMax: Math.min(limits.tokensMax ?? Infinity, inTimeMax),
  };
}
