import { availableParallelism, cpus } from "node:os";

import type { Clock } from "../clock.ts";
import { AppError } from "../errors.ts";
import type { PoolEvent, WorkerLoss } from "./pool-events.ts";
import { createRecycler, type Recycler } from "./recycler.ts";
import { Replica } from "./replica.ts";
import { Seats, spreadPermits } from "./seats.ts";
import { workerCommandLine, workerEnvironment, type WorkerCommandOptions } from "./worker-command.ts";
import { BatchError, type ModelInfo, type PoolListener, type WorkerPool } from "./worker-pool.ts";

export interface LocalPoolOptions extends WorkerCommandOptions {
  /** Processes; no more than there are permits. */
  readonly workers: number;
  /** Further processes that stand by to take the place of a lost one. Default: none. */
  readonly spares?: number;
  /** Batches that may run at the same time, over all workers. */
  readonly permits: number;
  /** One core per worker, counted from 0. Default: on Linux, where every worker gets a core and no other program or limit holds some back. */
  readonly pinning?: boolean | undefined;
  /** A worker that holds more, after a minute of service, is replaced. */
  readonly memoryBytesMax: number;
  /** From the start of a process to its first vector. */
  readonly startTimeoutMs: number;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: (event: PoolEvent) => void;
  /** Of the first worker, counted on from there; 1 by default. No two workers of a host share a number. */
  readonly firstWorkerNumber?: number;
  /** Told of a worker that was lost before it was ready. */
  readonly onStartFailure?: (loss: WorkerLoss) => void;
}

/** A pool of Python processes on this machine, each with the model loaded. */
export function createLocalPool(options: LocalPoolOptions): WorkerPool {
  const workers = Math.min(options.workers, options.permits);
  const firstReady = Promise.withResolvers<void>();
  let listener: PoolListener | undefined;
  let isStopping = false;

  const seats = new Seats({
    permits: spreadPermits(options.permits, workers),
    onSeated(worker) {
      listener?.workerReady(worker);
      firstReady.resolve();
    },
    onLeft: (id, cause) => listener?.workerLost(id, cause),
    onPermitsChanged: (id, permits) => listener?.permitsChanged?.(id, permits),
  });
  const { replicas, recycler } = makeReplicas(options, workers, seats);
  const everyReplica = (): readonly Replica[] => [...replicas, ...recycler.others()];
  const replicaOf = (id: string): Replica | undefined => everyReplica().find(({ workerId }) => workerId === id);

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
      seats.close();
      // Without effect where a worker was ready or nobody waits for one.
      firstReady.promise.catch(() => {});
      firstReady.reject(new AppError("draining"));
      recycler.stop();
      await stopAll(everyReplica(), graceMs, options.clock);
    },
    status: () => ({ workersWanted: workers, workers: replicas.map((replica) => replica.status()) }),
  };
}

interface Replicas {
  readonly replicas: readonly Replica[];
  readonly recycler: Recycler;
}

/** One for each worker and each spare, and what replaces them one at a time. */
function makeReplicas(options: LocalPoolOptions, workers: number, seats: Seats): Replicas {
  const isPinned = options.pinning ?? canPin(workers);
  const places = Array.from({ length: workers + (options.spares ?? 0) }, (_, place) => place);
  const epochs = places.map(() => 0);
  const makeReplica = (place: number): Replica => {
    const replica: Replica = new Replica({
      ...options,
      number: (options.firstWorkerNumber ?? 1) + place,
      nextEpoch: () => (epochs[place] = (epochs[place] ?? 0) + 1),
      // A spare goes where there is room when its time comes.
      commandLine: workerCommandLine(options, isPinned && place < workers ? place : undefined),
      environment: workerEnvironment(process.env, options.device, process.platform),
      refusal: (model) => refusalOf(model, options.model, replicas),
      onReady(id, model) {
        seats.workerReady(id, model);
        recycler.becameReady(replica);
      },
      onSilent: (id, isSilent) => seats.workerSilent(id, isSilent),
      onUnwell: (reason) => recycler.replace(place, reason),
      onLost: (id, loss) => seats.workerLost(id, loss.message),
      onStartFailure: (loss) => options.onStartFailure?.(loss),
    });
    return replica;
  };
  const replicas = places.map(makeReplica);
  const recycler = createRecycler({
    replicas,
    makeReplica,
    onRetire: (id) => seats.retire(id),
    log: options.log,
  });
  return { replicas, recycler };
}

/** Resolves when no process is left; what still runs after `graceMs` is ended. */
async function stopAll(replicas: readonly Replica[], graceMs: number, clock: Clock): Promise<void> {
  for (const replica of replicas) replica.stop();
  const grace = clock.setTimer(clock.nowMs() + graceMs, () => {
    for (const replica of replicas) replica.end({ reason: "stopped", message: "was stopped in the middle of a batch" });
  });
  await Promise.all(replicas.map((replica) => replica.stopped));
  grace.clear();
}

function refusalOf(model: ModelInfo, wanted: string, replicas: readonly Replica[]): string | undefined {
  const fellow = replicas.find(({ readyModel }) => readyModel !== undefined)?.readyModel;
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
