import type { BatchBudget, SchedulerLimits } from "./events.ts";

/** Long enough to fill a batch on a fast worker, short enough for a text that waits behind it on a slow one. */
const BATCH_TARGET_MS = 250;

/** What the size of the next batch depends on. */
export interface BatchSituation {
  readonly waitingInputs: number;
  readonly idleWorkers: number;
  /** Of one worker; undefined before the first batch. */
  readonly paddedTokensPerMs: number | undefined;
}

/** The bounds of the next batch: idle workers share what waits, so that one call uses them all; slow ones get less at a time. */
export function nextBudget(limits: SchedulerLimits, situation: BatchSituation): BatchBudget {
  const { waitingInputs, idleWorkers, paddedTokensPerMs = Infinity } = situation;
  const share = idleWorkers === 0 ? Infinity : Math.ceil(waitingInputs / idleWorkers);
  const inTimeMax = (limits.batchTargetMs ?? BATCH_TARGET_MS) * paddedTokensPerMs;
  return {
    ...limits,
    inputsMax: Math.min(limits.inputsMax, share),
    paddedTokensMax: Math.min(limits.paddedTokensMax, inTimeMax),
  };
}
