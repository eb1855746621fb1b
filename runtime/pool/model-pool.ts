import { HOPELESS_REASONS, type LossReason, type WorkerLoss } from "./pool-events.ts";
import { BatchError, type PoolListener, type PoolStatus, type ReadyWorker, type WorkerPool } from "./worker-pool.ts";

/** Workers of several models, each process with one of them. */
export interface ModelPool extends Omit<WorkerPool, "start"> {
  /** Brings the first model up; resolves when a worker of any model is ready. Tries the first model for ever. */
  start(listener: ModelPoolListener): Promise<void>;
  /** Brings up the workers of a model; they are told as ready, or the model as failed. */
  load(model: string): void;
  /** Ends the workers of a model, on which nothing runs: told once as unloaded, and none of them as lost. */
  unload(model: string): void;
  readonly status: () => ModelPoolStatus;
}

export interface ModelPoolListener extends PoolListener {
  /** No process of it is left. */
  modelUnloaded(model: string): void;
  /** It could not be loaded, and no process of it is left; `problem` is a sentence. */
  modelFailed(model: string, problem: string): void;
}

export interface ModelPoolStatus extends PoolStatus {
  /** Of each model that is loaded or on its way there or out. */
  readonly models: ReadonlyMap<string, PoolStatus>;
}

export interface ModelPoolOptions {
  /** Loaded from the start. */
  readonly first: string;
  /** The workers of one model, none of them started. */
  readonly createPool: (model: string, hooks: ModelPoolHooks) => WorkerPool;
  readonly log: (event: ModelEvent) => void;
}

export interface ModelPoolHooks {
  /** Worker numbers from here on are free; so many are taken as the pool wants workers. */
  readonly firstWorkerNumber: number;
  /** A worker was lost before it was ever ready. */
  readonly onStartFailure: (loss: WorkerLoss) => void;
}

export type ModelEvent =
  | { readonly type: "model_loading" | "model_loaded" | "model_unloaded"; readonly model: string }
  | { readonly type: "model_failed"; readonly model: string; readonly problem: string };

/** A first start that ends so is the last: nobody waits for a load that has taken all its time once more. */
const GIVEN_UP_FOR: readonly LossReason[] = [...HOPELESS_REASONS, "start_timeout"];

/** Starts that may end in any other way, over all workers of a model, before it is given up. */
const START_FAILURES_MAX = 3;

/** The workers of one model. */
interface Group {
  readonly model: string;
  readonly pool: WorkerPool;
  /** The model of the start, which the host is there for: its workers are tried for ever. */
  readonly isPatient: boolean;
  wasReady: boolean;
  startFailures: number;
  isEnding: boolean;
}

export function createModelPool(options: ModelPoolOptions): ModelPool {
  return new GroupedPool(options);
}

class GroupedPool implements ModelPool {
  readonly #options: ModelPoolOptions;
  readonly #groups = new Map<string, Group>();
  readonly #groupOfWorker = new Map<string, Group>();
  readonly #ready = Promise.withResolvers<void>();
  #listener: ModelPoolListener | undefined;
  #workersEver = 0;
  #isStopping = false;

  constructor(options: ModelPoolOptions) {
    this.#options = options;
    // Its state can be asked before it starts.
    this.#group(options.first);
  }

  start(listener: ModelPoolListener): Promise<void> {
    this.#listener = listener;
    const first = this.#group(this.#options.first);
    // The first one fails only when the pool is stopped before it was ever ready.
    this.#begin(first).catch((error: unknown) => this.#ready.reject(error));
    return this.#ready.promise;
  }

  load(model: string): void {
    if (this.#isStopping || this.#groups.has(model)) return;
    this.#options.log({ type: "model_loading", model });
    // Its end before it was ready is told as a failure of the model, or is asked for.
    this.#begin(this.#group(model)).catch(() => {});
  }

  unload(model: string): void {
    const group = this.#groups.get(model);
    if (group === undefined || group.isEnding) return;
    void this.#end(group).then(() => {
      this.#options.log({ type: "model_unloaded", model });
      this.#listener?.modelUnloaded(model);
    });
  }

  readonly run: ModelPool["run"] = (workerId, request) =>
    this.#groupOfWorker.get(workerId)?.pool.run(workerId, request) ??
    Promise.reject(new BatchError("worker_lost", `there is no worker ${workerId}`));

  readonly discard: ModelPool["discard"] = (workerId) => this.#groupOfWorker.get(workerId)?.pool.discard(workerId);

  async stop(graceMs: number): Promise<void> {
    this.#isStopping = true;
    await Promise.all([...this.#groups.values()].map(({ pool }) => pool.stop(graceMs)));
  }

  readonly status: ModelPool["status"] = () => {
    const models = new Map([...this.#groups].map(([model, { pool }]) => [model, pool.status()]));
    const all = [...models.values()];
    return {
      workersWanted: all.reduce((sum, { workersWanted }) => sum + workersWanted, 0),
      workers: all.flatMap(({ workers }) => workers),
      models,
    };
  };

  #group(model: string): Group {
    const known = this.#groups.get(model);
    if (known !== undefined) return known;
    const pool = this.#options.createPool(model, {
      firstWorkerNumber: this.#workersEver + 1,
      onStartFailure: (loss) => this.#noteStartFailure(group, loss),
    });
    const isPatient = this.#workersEver === 0;
    const group: Group = { model, pool, isPatient, wasReady: false, startFailures: 0, isEnding: false };
    // Spares have numbers too.
    const { workersWanted, workers } = pool.status();
    this.#workersEver += Math.max(workersWanted, workers.length);
    this.#groups.set(model, group);
    return group;
  }

  #begin(group: Group): Promise<void> {
    return group.pool.start({
      workerReady: (worker) => this.#welcome(group, worker),
      permitsChanged: (workerId, permits) => {
        if (!group.isEnding) this.#listener?.permitsChanged?.(workerId, permits);
      },
      workerLost: (workerId, cause) => {
        this.#groupOfWorker.delete(workerId);
        if (!group.isEnding) this.#listener?.workerLost(workerId, cause);
      },
    });
  }

  #welcome(group: Group, worker: ReadyWorker): void {
    if (group.isEnding) return;
    const { model } = group;
    if (!group.wasReady) this.#options.log({ type: "model_loaded", model });
    group.wasReady = true;
    this.#groupOfWorker.set(worker.id, group);
    this.#listener?.workerReady({ ...worker, model: { ...worker.model, model } });
    this.#ready.resolve();
  }

  #noteStartFailure(group: Group, { reason, message }: WorkerLoss): void {
    const { model, wasReady, isEnding } = group;
    if (wasReady || isEnding || reason === "stopped" || group.isPatient) return;
    group.startFailures += 1;
    if (!GIVEN_UP_FOR.includes(reason) && group.startFailures < START_FAILURES_MAX) return;
    const problem = `${model} cannot be loaded: the worker ${message}.`;
    void this.#end(group).then(() => {
      this.#options.log({ type: "model_failed", model, problem });
      this.#listener?.modelFailed(model, problem);
    });
  }

  /** Resolves when no process of the group is left. */
  async #end(group: Group): Promise<void> {
    group.isEnding = true;
    for (const [workerId, { model }] of this.#groupOfWorker) {
      if (model === group.model) this.#groupOfWorker.delete(workerId);
    }
    await group.pool.stop(0);
    this.#groups.delete(group.model);
  }
}
