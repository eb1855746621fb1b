import type { Readiness } from "./operations.ts";

/** What tells whether a worker can serve. */
export interface ServingState {
  readonly isDraining: boolean;
  /** A worker has been ready at some time. */
  readonly wasReady: boolean;
  readonly workersReady: number;
  readonly workersWanted: number;
  /** Of each worker that is not ready: why, and when it starts again. */
  readonly waiting: readonly { readonly problem: string | undefined; readonly restartInMs: number | undefined }[];
  /** Why no function can run, where that is so. */
  readonly functionsProblem?: string | undefined;
}

/** The answer of /readyz, in words. */
export function readinessOf(state: ServingState): Readiness {
  const { isDraining, wasReady, workersReady, workersWanted, waiting, functionsProblem } = state;
  if (workersReady > 0 && !isDraining) {
    if (functionsProblem === undefined) return { ready: true, workersReady, workersWanted };
    return { ready: false, code: "starting", problems: [functionsProblem], retryAfterMs: undefined };
  }
  const restartsInMs = waiting.flatMap(({ restartInMs }) => restartInMs ?? []);
  return {
    ready: false,
    code: isDraining ? "draining" : wasReady ? "no_worker" : "starting",
    problems: [...new Set(waiting.flatMap(({ problem }) => problem ?? []))],
    retryAfterMs: restartsInMs.length === 0 ? undefined : Math.min(...restartsInMs),
  };
}
