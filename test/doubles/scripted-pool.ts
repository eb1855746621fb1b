import { systemClock, type Clock } from "../../runtime/clock.ts";
import { AppError } from "../../runtime/errors.ts";
import type { ModelPool } from "../../runtime/pool/model-pool.ts";
import {
  BatchError,
  type BatchRequest,
  type BatchResult,
  type PoolListener,
  type WorkerPool,
} from "../../runtime/pool/worker-pool.ts";
import { FAKE_MODEL, fakeAnswer, fakeModelInfo } from "./fake-answer.ts";

export interface ScriptedPoolOptions {
  /** One worker per entry. Default: two workers with two permits each. */
  readonly workerPermits?: readonly number[];
  /** `at_once`: a batch ends in a microtask; `by_hand`: through `running`. */
  readonly answers?: "at_once" | "by_hand";
  /** `at_once`: a lost worker comes back in a microtask; `by_hand`: through `addWorker`. */
  readonly restarts?: "at_once" | "by_hand";
  /** For the grace of `stop`. */
  readonly clock?: Clock;
}

/** A batch that has started and not ended. */
export interface ScriptedRun {
  readonly workerId: string;
  readonly request: BatchRequest;
  /** Ends it with the healthy answer, changed as given. */
  finish(changes?: Partial<BatchResult>): void;
  /** Ends it with `batch_failed`: the worker lives. */
  fail(message?: string): void;
}

/**
 * A pool in memory with vectors that belong to their texts (`fakeVector`), for tests of what stands in front of a pool.
 *
 * The texts `fault:nan_row`, `fault:error` and `fault:exit` fail their row, their batch and their worker; `fault:stall` is never answered.
 */
export interface ScriptedPool extends WorkerPool, Pick<ModelPool, "load" | "unload"> {
  /** In order of start. */
  readonly running: readonly ScriptedRun[];
  /** Ends all that runs now with healthy answers. */
  finishAll(): void;
  /** Every batch ever started, in order of start. */
  readonly started: readonly { readonly workerId: string; readonly request: BatchRequest }[];
  /** Makes one more worker ready, after `start`; returns its id. */
  addWorker(permits: number): string;
  /** The worker dies, as after SIGKILL. */
  lose(workerId: string, cause?: string): void;
}

interface OpenRun extends ScriptedRun {
  readonly reject: (error: BatchError) => void;
}

export function createScriptedPool(options: ScriptedPoolOptions = {}): ScriptedPool {
  const { workerPermits = [2, 2], answers = "at_once", restarts = "at_once", clock = systemClock } = options;
  const permitsOf = new Map<string, number>();
  const running: OpenRun[] = [];
  const started: { workerId: string; request: BatchRequest }[] = [];
  const firstReady = Promise.withResolvers<void>();
  const idle = new Set<() => void>();
  let listener: PoolListener | undefined;
  let isStopping = false;
  let workersEver = 0;

  const addWorker = (permits: number): string => {
    const id = `scripted-${++workersEver}`;
    permitsOf.set(id, permits);
    listener?.workerReady({ id, permits, model: fakeModelInfo() });
    firstReady.resolve();
    return id;
  };

  const lose = (workerId: string, cause = "was lost by the script"): void => {
    const permits = permitsOf.get(workerId);
    if (permits === undefined) return;
    permitsOf.delete(workerId);
    queueMicrotask(() => {
      listener?.workerLost(workerId, cause);
      for (const run of running.filter((candidate) => candidate.workerId === workerId)) {
        run.reject(new BatchError("worker_lost", `worker ${workerId} ${cause}`));
      }
      if (restarts === "at_once" && !isStopping) queueMicrotask(() => addWorker(permits));
    });
  };

  const run = (workerId: string, request: BatchRequest): Promise<BatchResult> =>
    new Promise((resolve, reject) => {
      const end = (settle: () => void): void => {
        const at = running.indexOf(open);
        if (at === -1) return;
        running.splice(at, 1);
        settle();
        for (const check of idle) check();
      };
      const open: OpenRun = {
        workerId,
        request,
        finish: (changes) => end(() => resolve({ ...fakeAnswer(request), ...changes })),
        fail: (message = "the script says so") => end(() => reject(new BatchError("batch_failed", message))),
        reject: (error) => end(() => reject(error)),
      };
      running.push(open);
      started.push({ workerId, request });
      if (request.texts.includes("fault:exit")) lose(workerId, "ended with exit code 0 without being asked to");
      else if (request.texts.includes("fault:error")) queueMicrotask(() => open.fail());
      else if (answers === "at_once" && !request.texts.includes("fault:stall")) queueMicrotask(() => open.finish());
    });

  return {
    running,
    finishAll() {
      // A copy, since each one that ends leaves the list.
      for (const open of running.slice()) open.finish();
    },
    started,
    addWorker,
    lose,
    start(poolListener) {
      listener = poolListener;
      for (const permits of isStopping ? [] : workerPermits) addWorker(permits);
      return firstReady.promise;
    },
    run(workerId, request) {
      if (request.model !== FAKE_MODEL) return Promise.reject(new BatchError("batch_failed", "another model"));
      if (permitsOf.has(workerId) && !isStopping) return run(workerId, request);
      return Promise.reject(new BatchError("worker_lost", `there is no worker ${workerId}`));
    },
    discard: (workerId) => lose(workerId, "was given up"),
    // It holds one model.
    load() {},
    unload() {},
    async stop(graceMs) {
      isStopping = true;
      firstReady.promise.catch(() => {});
      firstReady.reject(new AppError("draining"));
      await new Promise<void>((resolve) => {
        const timer = clock.setTimer(clock.nowMs() + graceMs, () => end());
        const check = (): void => {
          if (running.length === 0) end();
        };
        const end = (): void => {
          timer.clear();
          idle.delete(check);
          resolve();
        };
        idle.add(check);
        check();
      });
      for (const workerId of permitsOf.keys()) lose(workerId, "was stopped");
      // The losses are told in microtasks of their own.
      await Promise.resolve();
    },
    status: () => ({
      workersWanted: workerPermits.length,
      workers: [...permitsOf.keys()].map((id) => ({
        id,
        pid: undefined,
        state: isStopping ? ("stopping" as const) : ("ready" as const),
        restarts: 0,
        problem: undefined,
        restartInMs: undefined,
      })),
    }),
  };
}
