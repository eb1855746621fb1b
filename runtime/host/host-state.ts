import type { ServingState } from "../http/readiness.ts";
import type { ModelInfo, PoolListener, PoolStatus } from "../pool/worker-pool.ts";

/** What is known of the pool from what it told. */
export class HostState {
  readonly readyWorkers: Set<string> = new Set();
  model: ModelInfo | undefined;
  isDraining = false;

  /** For `/readyz`. */
  serving({ workersWanted, workers }: PoolStatus): ServingState {
    return {
      isDraining: this.isDraining,
      wasReady: this.model !== undefined,
      workersReady: this.readyWorkers.size,
      workersWanted,
      waiting: workers.filter(({ state }) => state !== "ready"),
    };
  }
}

/** The listener, with a note of which workers are ready and what they hold. */
export function watched(listener: PoolListener, state: HostState): PoolListener {
  return {
    workerReady(worker) {
      state.readyWorkers.add(worker.id);
      state.model = worker.model;
      listener.workerReady(worker);
    },
    workerLost(workerId, cause) {
      state.readyWorkers.delete(workerId);
      listener.workerLost(workerId, cause);
    },
  };
}
