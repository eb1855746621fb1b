import type { Compute } from "../pool/compute.ts";
import type { ModelReadiness, Readiness } from "./operations.ts";

/** What tells whether a worker can serve. */
export interface ServingState {
  readonly isDraining: boolean;
  /** A worker has been ready at some time. */
  readonly wasReady: boolean;
  readonly workersReady: number;
  readonly workersWanted: number;
  readonly waiting: readonly WaitingWorker[];
  /** What computes, once a worker has told. */
  readonly compute?: Compute | undefined;
  /** Why no function can run, where that is so. */
  readonly functionsProblem?: string | undefined;
  /** No model is in memory, and none should be: the next one is loading, or is loaded for the next call. */
  readonly isBetweenModels?: boolean;
  /** Those in memory, or on their way. */
  readonly models?: readonly ModelReadiness[];
}

/** A worker that is not ready: why, and when it starts again. */
interface WaitingWorker {
  readonly problem: string | undefined;
  readonly cannotStart?: boolean;
  readonly restartInMs: number | undefined;
}

/** The answer of /readyz, in words. */
export function readinessOf(state: ServingState): Readiness {
  const { isDraining, wasReady, workersReady, workersWanted, waiting, compute, functionsProblem, models } = state;
  const canServe = workersReady > 0 || state.isBetweenModels === true;
  if (canServe && !isDraining) {
    if (functionsProblem === undefined) {
      return { ready: true, workersReady, workersWanted, compute, ...(models && { models }) };
    }
    return { ready: false, code: "starting", problems: [functionsProblem], retryAfterMs: undefined };
  }
  const hasFailed = waiting.length > 0 && waiting.every(({ cannotStart }) => cannotStart === true);
  const restartsInMs = waiting.flatMap(({ restartInMs }) => restartInMs ?? []);
  return {
    ready: false,
    code: isDraining ? "draining" : hasFailed ? "start_failed" : wasReady ? "no_worker" : "starting",
    problems: [...new Set(waiting.flatMap(({ problem }) => problem ?? []))],
    retryAfterMs: restartsInMs.length === 0 ? undefined : Math.min(...restartsInMs),
  };
}
