import type { SchedulerLimits } from "../../runtime/scheduler/events.ts";
import type { Chance } from "./random.ts";

/** How rough this seed's world is. */
export interface Rates {
  readonly arrivalGapMs: number;
  readonly batchMs: number;
  readonly restartMs: number;
  readonly abort: number;
  readonly poison: number;
  readonly badLuck: number;
  readonly idleCrash: number;
  readonly newPermits: number;
  readonly shortDeadline: number;
  readonly lateTimer: number;
}

/** With several models calls come more slowly: a load takes as long as many batches. */
export function drawRates({ pick }: Chance, models = 1): Rates {
  return {
    arrivalGapMs: pick([2, 20, 100]) * (models > 1 ? pick([1, 10, 40]) : 1),
    batchMs: pick([5, 40, 90]),
    restartMs: pick([5, 100, 2_000]),
    abort: pick([0, 0.1, 0.5]),
    poison: pick([0, 0.05, 0.2]),
    badLuck: pick([0, 0.05, 0.3]),
    idleCrash: pick([0, 0.3]),
    newPermits: pick([0, 0, 0.5]),
    shortDeadline: pick([0, 0.1, 0.5]),
    lateTimer: pick([0, 0.2]),
  };
}

export function drawLimits({ between, pick }: Chance): SchedulerLimits {
  const [inputsMax, paddedTokensMax] = [pick([1, 2, 5, 8, 32]), pick([16, 256, 2_048])];
  return {
    inputsMax,
    paddedTokensMax,
    tokensMax: inputsMax === 8 ? 200 : Infinity,
    queueInputsMax: between(20, 300),
    queueTokensMax: pick([500, 4_000, 1_000_000]),
    batchTimeoutMs: between(100, 400),
    attemptsMax: between(3, 8),
    lookAheadInputsMax: pick([0, 0, 0, 3, 20]),
    batchTargetMs: pick([Infinity, Infinity, 10, 60]),
  };
}
