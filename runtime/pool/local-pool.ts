import { availableParallelism, cpus } from "node:os";

import type { Clock } from "../clock.ts";
import { AppError } from "../errors.ts";
import type { PoolEvent } from "./pool-events.ts";
import { Replica } from "./replica.ts";
import { workerCommandLine, workerEnvironment, type WorkerCommandOptions } from "./worker-command.ts";
import { BatchError, type ModelInfo, type PoolListener, type WorkerPool } from "./worker-pool.ts";

export interface LocalPoolOptions extends WorkerCommandOptions {
  /** Processes; no more than there are permits. */
  readonly workers: number;
  /** Batches that may run at the same time, over all workers. */
  readonly permits: number;
  /** One core per worker, counted from 0. Default: on Linux, where every worker gets a core and no other program or limit holds some back. */
  readonly pinning?: boolean | undefined;
  /** From the start of a process to its first vector. */
  readonly startTimeoutMs: number;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: (event: PoolEvent) => void;
}

/** A pool of Python processes on this machine, each with the model loaded. */
export function createLocalPool(options: LocalPoolOptions): WorkerPool {
  const workers = Math.min(options.workers, options.permits);
  const isPinned = options.pinning ?? canPin(workers);
  const firstReady = Promise.withResolvers<void>();
  let listener: PoolListener | undefined;
  let isStopping = false;

  const refusal = (model: ModelInfo): string | undefined => {
    const fellow = replicas.find((replica) => replica.readyModel !== undefined)?.readyModel;
    return refusalOf(model, options.model, fellow);
  };
  const replicas = spreadPermits(options.permits, workers).map(
    (permits, index) =>
      new Replica({
        ...options,
        number: index + 1,
        commandLine: workerCommandLine(options, isPinned ? index : undefined),
        environment: workerEnvironment(process.env, options.device, process.platform),
        refusal,
        onReady: (id, model) => {
          listener?.workerReady({ id, permits, model });
          firstReady.resolve();
        },
        onLost: (id, loss) => listener?.workerLost(id, loss.message),
      }),
  );
  const replicaOf = (workerId: string): Replica | undefined =>
    replicas.find((replica) => replica.workerId === workerId);

  return {
    start(poolListener) {
      listener = poolListener;
      if (isStopping) return Promise.reject(new AppError("draining"));
      for (const replica of replicas) replica.start();
      return firstReady.promise;
    },
    run(workerId, request) {
      if (request.model !== options.model) {
        return Promise.reject(new BatchError("batch_failed", `this pool holds ${options.model} and no other model`));
      }
      return (
        replicaOf(workerId)?.run(request) ??
        Promise.reject(new BatchError("worker_lost", `there is no worker ${workerId}`))
      );
    },
    discard: (workerId) => replicaOf(workerId)?.end({ reason: "discarded", message: "was given up" }),
    async stop(graceMs) {
      isStopping = true;
      // Without effect where a worker was ready or nobody waits for one.
      firstReady.promise.catch(() => {});
      firstReady.reject(new AppError("draining"));
      for (const replica of replicas) replica.stop();
      const grace = options.clock.setTimer(options.clock.nowMs() + graceMs, () => {
        for (const replica of replicas)
          replica.end({ reason: "stopped", message: "was stopped in the middle of a batch" });
      });
      await Promise.all(replicas.map((replica) => replica.stopped));
      grace.clear();
    },
    status: () => ({ workersWanted: workers, workers: replicas.map((replica) => replica.status()) }),
  };
}

/** As even as it goes: 5 permits over 2 workers are 3 and 2. */
function spreadPermits(permits: number, workers: number): readonly number[] {
  return Array.from(
    { length: workers },
    (_, index) => Math.floor(permits / workers) + (index < permits % workers ? 1 : 0),
  );
}

function refusalOf(model: ModelInfo, wanted: string, fellow: ModelInfo | undefined): string | undefined {
  if (model.model !== wanted) return `holds the model ${JSON.stringify(model.model)}, want ${JSON.stringify(wanted)}`;
  if (fellow === undefined) return undefined;
  const differing = (["revision", "dimensions", "maxTokens", "pooling"] as const).find(
    (field) => model[field] !== fellow[field],
  );
  return differing && `differs from the other workers in ${differing}: ${model[differing]}, not ${fellow[differing]}`;
}

/** Under a CPU set or quota the cores from 0 up may not be ours. */
function canPin(workers: number): boolean {
  const cores = availableParallelism();
  return process.platform === "linux" && workers <= cores && cores === cpus().length;
}
