import type { ServingState } from "../http/readiness.ts";
import type { ModelPoolListener } from "../pool/model-pool.ts";
import { computeOf } from "../pool/compute.ts";
import type { ModelInfo, PoolStatus } from "../pool/worker-pool.ts";

/** Where a model is, as far as it decides whether the host can serve. */
interface ModelState {
  readonly model: string;
  readonly stage: string;
}

/** What is known of the pool from what it told. */
export class HostState {
  /** Worker → its model. */
  readonly readyWorkers: Map<string, string> = new Map<string, string>();
  /** What each model is that was ever loaded. */
  readonly models: Map<string, ModelInfo> = new Map<string, ModelInfo>();
  isDraining = false;

  readyWorkersOf(model: string): number {
    let count = 0;
    for (const held of this.readyWorkers.values()) if (held === model) count += 1;
    return count;
  }

  /** For `/readyz`. `models`: all that are served. */
  serving({ workersWanted, workers }: PoolStatus, models: readonly ModelState[]): ServingState {
    const [first] = this.models.values();
    return {
      isDraining: this.isDraining,
      wasReady: this.models.size > 0,
      workersReady: this.readyWorkers.size,
      workersWanted,
      compute: first && computeOf(first),
      waiting: workers.filter(({ state }) => state !== "ready"),
      isBetweenModels: this.models.size > 0 && models.every(({ stage }) => stage !== "loaded"),
      models: models
        .filter(({ stage }) => stage !== "cold")
        .map(({ model, stage }) => {
          const revision = this.models.get(model)?.revision;
          return { name: model, stage, revision, workersReady: this.readyWorkersOf(model) };
        }),
    };
  }
}

/** The listener, with a note of which workers are ready and what they hold. */
export function watched(listener: ModelPoolListener, state: HostState): ModelPoolListener {
  return {
    workerReady(worker) {
      state.readyWorkers.set(worker.id, worker.model.model);
      state.models.set(worker.model.model, worker.model);
      listener.workerReady(worker);
    },
    workerLost(workerId, cause) {
      state.readyWorkers.delete(workerId);
      listener.workerLost(workerId, cause);
    },
    modelUnloaded(model) {
      for (const [workerId, held] of state.readyWorkers) if (held === model) state.readyWorkers.delete(workerId);
      listener.modelUnloaded(model);
    },
    modelFailed: (model, problem) => listener.modelFailed(model, problem),
    permitsChanged: (workerId, permits) => listener.permitsChanged?.(workerId, permits),
  };
}
