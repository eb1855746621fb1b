import type { Clock } from "../clock.ts";
import type { PoolEvent, WorkerLoss } from "./pool-events.ts";
import { PythonWorker } from "./python-worker.ts";
import { attemptAfterLoss, restartDelayMs } from "./restart-backoff.ts";
import { BatchError, type BatchRequest, type BatchResult, type ModelInfo, type WorkerStatus } from "./worker-pool.ts";

export interface ReplicaOptions {
  /** From 1; worker ids are `worker-<number>.<how many processes it has had>`. */
  readonly number: number;
  readonly commandLine: readonly [file: string, ...args: string[]];
  readonly environment: Readonly<Record<string, string>>;
  readonly startTimeoutMs: number;
  readonly frameBytesMax: number;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: (event: PoolEvent) => void;
  /** Why this model must not join the pool; undefined when it may. */
  readonly refusal: (model: ModelInfo) => string | undefined;
  readonly onReady: (workerId: string, model: ModelInfo) => void;
  readonly onLost: (workerId: string, loss: WorkerLoss) => void;
}

/** One place of the pool: holds a worker, and starts another, for ever, when it is lost. */
export class Replica {
  /** Resolves once `stop` was called and no process is left. */
  readonly stopped: Promise<void>;
  readonly #options: ReplicaOptions;
  readonly #resolveStopped: () => void;
  #worker: PythonWorker | undefined;
  #model: ModelInfo | undefined;
  #state: WorkerStatus["state"] = "starting";
  #epoch = 0;
  #attempt = 0;
  #startedAtMs = 0;
  #readyAtMs = 0;
  #restartAtMs = 0;
  #loss: WorkerLoss | undefined;
  #lastWords: readonly string[] = [];
  #isStopping = false;
  /** The start limit or the wait for the next start. */
  #timer: { clear(): void } | undefined;

  constructor(options: ReplicaOptions) {
    this.#options = options;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.stopped = promise;
    this.#resolveStopped = resolve;
  }

  get workerId(): string {
    return `worker-${this.#options.number}.${this.#epoch}`;
  }

  /** The model of its worker while that is ready. */
  get readyModel(): ModelInfo | undefined {
    return this.#model;
  }

  start(): void {
    const { startTimeoutMs, clock, log } = this.#options;
    this.#epoch++;
    this.#state = "starting";
    this.#startedAtMs = clock.nowMs();
    const worker = new PythonWorker({
      ...this.#options,
      id: this.workerId,
      onReady: (model) => this.#becomeReady(worker, model),
      onLost: (loss) => this.#becomeLost(loss),
    });
    this.#worker = worker;
    log({ type: "worker_started", workerId: worker.id, pid: worker.pid });
    this.#timer = clock.setTimer(this.#startedAtMs + startTimeoutMs, () =>
      worker.lose({ reason: "start_timeout", message: `had no first vector after ${startTimeoutMs / 1_000} s` }),
    );
    void worker.gone.then((loss) => this.#becomeGone(worker, loss));
  }

  /** Runs one batch on its worker; rejects with `worker_lost` when that is not ready. */
  async run(request: BatchRequest): Promise<BatchResult> {
    if (this.#worker === undefined || this.#state !== "ready" || this.#isStopping) {
      throw new BatchError("worker_lost", `worker ${this.workerId} takes no batches`);
    }
    try {
      return await this.#worker.run(request);
    } finally {
      this.#endIfIdle();
    }
  }

  /** Starts no worker any more; ends the present one when its open batches are done. */
  stop(): void {
    this.#isStopping = true;
    if (this.#state === "waiting_to_restart" || this.#worker === undefined) this.#finish();
    this.#endIfIdle();
  }

  /** Ends the present worker, whatever it does. */
  end(loss: WorkerLoss): void {
    this.#worker?.lose(loss);
  }

  status(): WorkerStatus {
    const isWaiting = this.#state === "waiting_to_restart";
    return {
      id: this.workerId,
      pid: isWaiting ? undefined : this.#worker?.pid,
      state: this.#state,
      restarts: Math.max(0, this.#epoch - 1),
      problem: this.#problem(),
      restartInMs: isWaiting ? Math.max(0, this.#restartAtMs - this.#options.clock.nowMs()) : undefined,
    };
  }

  #problem(): string | undefined {
    if (this.#state === "ready") return undefined;
    if (this.#loss === undefined)
      return this.#isStopping ? "The worker was stopped." : "The worker is loading its model.";
    return [`The worker ${this.#loss.message}.`, ...this.#lastWords].join("\n");
  }

  #becomeReady(worker: PythonWorker, model: ModelInfo): void {
    const refusal = this.#options.refusal(model);
    if (refusal !== undefined) {
      worker.lose({ reason: "wrong_worker", message: refusal });
      return;
    }
    this.#timer?.clear();
    this.#state = "ready";
    this.#model = model;
    this.#readyAtMs = this.#options.clock.nowMs();
    this.#options.log({ type: "worker_ready", workerId: worker.id, startMs: this.#readyAtMs - this.#startedAtMs });
    this.#options.onReady(worker.id, model);
  }

  #becomeLost(loss: WorkerLoss): void {
    this.#timer?.clear();
    const wasReady = this.#state === "ready";
    const readyMs = wasReady ? this.#options.clock.nowMs() - this.#readyAtMs : 0;
    this.#attempt = attemptAfterLoss(this.#attempt, readyMs);
    this.#state = "stopping";
    this.#model = undefined;
    this.#loss = loss;
    this.#lastWords = [];
    if (wasReady) this.#options.onLost(this.workerId, loss);
  }

  #becomeGone(worker: PythonWorker, loss: WorkerLoss): void {
    const { clock, random, log } = this.#options;
    this.#worker = undefined;
    this.#lastWords = worker.lastLines();
    if (this.#isStopping) {
      log({ type: "worker_lost", workerId: worker.id, restartInMs: undefined, ...loss });
      this.#finish();
      return;
    }
    // The same files will give the same wrong worker: no reason to hurry.
    const delayMs = restartDelayMs(loss.reason === "wrong_worker" ? Infinity : this.#attempt, random());
    this.#attempt++;
    this.#state = "waiting_to_restart";
    this.#restartAtMs = clock.nowMs() + delayMs;
    this.#timer = clock.setTimer(this.#restartAtMs, () => this.start());
    log({ type: "worker_lost", workerId: worker.id, restartInMs: delayMs, ...loss });
  }

  #endIfIdle(): void {
    if (this.#isStopping && this.#worker?.openBatches === 0) {
      // Between batches a worker has nothing to lose, and so nothing to ask it for.
      this.#worker.lose({ reason: "stopped", message: "was stopped" });
    }
  }

  #finish(): void {
    this.#timer?.clear();
    this.#state = "stopping";
    this.#resolveStopped();
  }
}
