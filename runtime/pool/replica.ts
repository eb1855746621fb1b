import type { Clock } from "../clock.ts";
import { HOPELESS_REASONS, type PoolEvent, type WorkerLoss } from "./pool-events.ts";
import { PythonWorker } from "./python-worker.ts";
import { attemptAfterLoss, restartDelayMs } from "./restart-backoff.ts";
import { createWorkerHealth, type WorkerHealth } from "./worker-health.ts";
import { BatchError, type BatchRequest, type BatchResult, type ModelInfo, type WorkerStatus } from "./worker-pool.ts";

/** Age before which a worker is not replaced. */
const RECYCLE_AFTER_MS = 60_000;

export interface ReplicaOptions {
  /** From 1; worker ids are `worker-<number>.<how many processes it has had>`. */
  readonly number: number;
  /** Counts the processes of its place. */
  readonly nextEpoch: () => number;
  /** A process that holds more is replaced. */
  readonly memoryBytesMax: number;
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
  readonly onSilent: (workerId: string, isSilent: boolean) => void;
  /** Another process would do better, for this reason. Told after any batch for which it is so. */
  readonly onUnwell: (reason: string) => void;
  readonly onLost: (workerId: string, loss: WorkerLoss) => void;
  /** It was lost before it was ready. */
  readonly onStartFailure: (loss: WorkerLoss) => void;
}

/** From so many on the next start will hardly do better. */
const HOPELESS_STARTS = 3;

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
  #health: WorkerHealth | undefined;
  #attempt = 0;
  #startedAtMs = 0;
  #readyAtMs = 0;
  #restartAtMs = 0;
  #loss: WorkerLoss | undefined;
  #lastWords: readonly string[] = [];
  /** Starts in a row that failed for the same reason. */
  #hopelessStarts = 0;
  #isStopping = false;
  #farewell: WorkerLoss = { reason: "stopped", message: "was stopped" };
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
    this.#epoch = this.#options.nextEpoch();
    this.#state = "starting";
    this.#startedAtMs = clock.nowMs();
    const worker = new PythonWorker({
      ...this.#options,
      id: this.workerId,
      onReady: (model) => this.#becomeReady(worker, model),
      onSilent: (isSilent) => this.#tellSilent(worker, isSilent),
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
    const health = this.#health;
    try {
      const result = await this.#worker.run(request);
      this.#tellUnwell(health, health?.finished(result));
      return result;
    } catch (error) {
      if (error instanceof BatchError && error.kind === "batch_failed") this.#tellUnwell(health, health?.failed());
      throw error;
    } finally {
      this.#endIfIdle();
    }
  }

  /** Starts no worker any more; ends the present one when its open batches are done. */
  stop(loss: WorkerLoss = { reason: "stopped", message: "was stopped" }): void {
    this.#isStopping = true;
    this.#farewell = loss;
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
      cannotStart: this.#state !== "ready" && this.#hopelessStarts >= HOPELESS_STARTS,
      restartInMs: isWaiting ? Math.max(0, this.#restartAtMs - this.#options.clock.nowMs()) : undefined,
    };
  }

  #problem(): string | undefined {
    if (this.#state === "ready") return undefined;
    if (this.#loss === undefined)
      return this.#isStopping ? "The worker was stopped." : "The worker is loading its model.";
    const { message } = this.#loss;
    // What it told on fd 3 it has printed too.
    return [`The worker ${message}.`, ...this.#lastWords.filter((line) => !message.endsWith(line))].join("\n");
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
    const { memoryBytesMax } = this.#options;
    this.#health = createWorkerHealth({ memoryBytesMax, watchesTime: model.device === "cpu" });
    this.#readyAtMs = this.#options.clock.nowMs();
    this.#options.log({ type: "worker_ready", workerId: worker.id, startMs: this.#readyAtMs - this.#startedAtMs });
    this.#options.onReady(worker.id, model);
  }

  #tellSilent(worker: PythonWorker, isSilent: boolean): void {
    this.#options.log({ type: "worker_silent", workerId: worker.id, isSilent });
    if (!this.#isStopping) this.#options.onSilent(worker.id, isSilent);
  }

  /** Not while it is young: a process that needs more than it may from the start would be replaced for ever. */
  #tellUnwell(health: WorkerHealth | undefined, reason: string | undefined): void {
    if (reason === undefined || this.#isStopping || health !== this.#health || this.#state !== "ready") return;
    if (this.#options.clock.nowMs() - this.#readyAtMs < RECYCLE_AFTER_MS) return;
    this.#options.onUnwell(reason);
  }

  #becomeLost(loss: WorkerLoss): void {
    this.#timer?.clear();
    const wasReady = this.#state === "ready";
    const readyMs = wasReady ? this.#options.clock.nowMs() - this.#readyAtMs : 0;
    this.#attempt = attemptAfterLoss(this.#attempt, readyMs);
    this.#countStart(wasReady, loss);
    this.#state = "stopping";
    this.#model = undefined;
    this.#loss = loss;
    this.#lastWords = [];
    if (wasReady) this.#options.onLost(this.workerId, loss);
    else this.#options.onStartFailure(loss);
  }

  #countStart(wasReady: boolean, { reason, message }: WorkerLoss): void {
    if (wasReady) this.#hopelessStarts = 0;
    else if (HOPELESS_REASONS.includes(reason)) this.#hopelessStarts = HOPELESS_STARTS;
    else this.#hopelessStarts = message === this.#loss?.message ? this.#hopelessStarts + 1 : 1;
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
      this.#worker.lose(this.#farewell);
    }
  }

  #finish(): void {
    this.#timer?.clear();
    this.#state = "stopping";
    this.#resolveStopped();
  }
}
