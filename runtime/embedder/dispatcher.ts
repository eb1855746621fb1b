import type { Clock } from "../clock.ts";
import { AppError } from "../errors.ts";
import { BatchError } from "../pool/worker-pool.ts";
import type { BatchRequest, Pooling, PoolListener, ReadyWorker, WorkerPool } from "../pool/worker-pool.ts";
import type {
  Batch,
  CallId,
  Priority,
  Scheduler,
  SchedulerCommand,
  SchedulerEvent,
  SchedulerSnapshot,
} from "../scheduler/events.ts";
import { CallRows } from "./call-rows.ts";

/** A call on its way: what the scheduler may know of it (cost, deadline) and what it must not (the texts). */
export interface DispatchCall extends BatchRequest {
  /** Estimated tokens, one per text. */
  readonly inputTokens: readonly number[];
  readonly deadlineAtMs: number;
  readonly signal: AbortSignal;
  /** Who shares the workers with others; undefined for the one tenant of a host that knows none. */
  readonly tenant?: string | undefined;
  /** Undefined: interactive. */
  readonly priority?: Priority | undefined;
}

/** What all batches of one call gave, put together in input order. `data` has shape [texts, dimensions]. */
export interface DispatchResult {
  readonly data: Float32Array;
  readonly dimensions: number;
  readonly pooling: Pooling;
  readonly tokenCounts: readonly number[];
  readonly truncated: readonly number[];
  readonly queueMs: number;
  readonly batchMs: number;
}

/** Told what happens, for metrics. Durations in milliseconds. */
export interface DispatchObserver {
  /** A call's first batch started: how long it waited for a permit. */
  permitWaited(waitMs: number): void;
  batchEnded(batch: { readonly inputs: number; readonly paddedTokens: number; readonly tookMs: number }): void;
}

/** Turns promises into scheduler events and scheduler commands into pool runs; keeps the texts and the one timer. */
export interface Dispatcher extends PoolListener {
  submit(call: DispatchCall): Promise<DispatchResult>;
  /** Refuses new calls; resolves when the last admitted one has ended, or at `graceMs`. */
  drain(graceMs: number): Promise<void>;
  snapshot(): SchedulerSnapshot;
  /** From now on a worker runs so many batches at a time; those over it end first. */
  permitsChanged(workerId: string, permits: number): void;
}

interface OpenCall {
  readonly call: DispatchCall;
  readonly admittedAtMs: number;
  readonly resolve: (result: DispatchResult) => void;
  readonly reject: (error: AppError) => void;
  readonly onAbort: () => void;
  readonly rows: CallRows;
  startedAtMs: number | undefined;
}

export interface DispatcherOptions {
  readonly scheduler: Scheduler;
  readonly pool: Pick<WorkerPool, "run" | "discard">;
  readonly clock: Clock;
  /** Runs something when what is readable now has been read: `setImmediate`. */
  readonly defer: (run: () => void) => void;
  readonly observer: DispatchObserver;
}

export function createDispatcher(options: DispatcherOptions): Dispatcher {
  return new SchedulerDispatcher(options);
}

class SchedulerDispatcher implements Dispatcher {
  readonly #scheduler: Scheduler;
  readonly #pool: Pick<WorkerPool, "run" | "discard">;
  readonly #clock: Clock;
  readonly #observer: DispatchObserver;
  readonly #open = new Map<CallId, OpenCall>();
  readonly #events: SchedulerEvent[] = [];
  /** Calls of this turn of the event loop, not yet submitted. */
  readonly #arrivals: CallId[] = [];
  readonly #defer: DispatcherOptions["defer"];
  readonly #drained = Promise.withResolvers<void>();
  #timer: { clear(): void } | undefined;
  #lastCallId = 0;
  #handling = false;

  constructor({ scheduler, pool, clock, defer, observer }: DispatcherOptions) {
    this.#defer = defer;
    this.#scheduler = scheduler;
    this.#pool = pool;
    this.#clock = clock;
    this.#observer = observer;
  }

  submit(call: DispatchCall): Promise<DispatchResult> {
    // An already aborted call never counts: no place, no listener.
    if (call.signal.aborted) return Promise.reject(new AppError("client_gone"));
    const { promise, resolve, reject } = Promise.withResolvers<DispatchResult>();
    const callId = ++this.#lastCallId;
    const onAbort = (): void => this.#abort(callId);
    this.#open.set(callId, {
      call,
      admittedAtMs: this.#clock.nowMs(),
      resolve,
      reject,
      onAbort,
      rows: new CallRows(call.texts.length),
      startedAtMs: undefined,
    });
    call.signal.addEventListener("abort", onAbort, { once: true });
    this.#arrivals.push(callId);
    if (this.#arrivals.length === 1) this.#defer(() => this.#submitArrivals());
    return promise;
  }

  /** Calls that arrived in one turn of the event loop come to the scheduler together: the first would else start a batch of its own. */
  #submitArrivals(): void {
    const arrivals = this.#arrivals.splice(0).filter((callId) => this.#open.has(callId));
    for (const [at, callId] of arrivals.entries()) {
      const { call } = this.#openCall(callId);
      const { inputTokens, deadlineAtMs, tenant, priority } = call;
      const share = { ...(tenant !== undefined && { tenant }), ...(priority !== undefined && { priority }) };
      // Inputs share a batch only where the forward pass and what comes before and after it are the same.
      const batchKey = JSON.stringify(optionsOf(call));
      const moreFollow = at < arrivals.length - 1;
      this.#handle({
        type: "call_submitted",
        call: { id: callId, batchKey, inputTokens, deadlineAtMs, ...share },
        moreFollow,
      });
    }
  }

  drain(graceMs: number): Promise<void> {
    this.#handle({ type: "drain_requested", graceMs });
    return this.#drained.promise;
  }

  snapshot(): SchedulerSnapshot {
    return this.#scheduler.snapshot();
  }

  workerReady(worker: ReadyWorker): void {
    this.#handle({ type: "worker_ready", workerId: worker.id, permits: worker.permits });
  }

  workerLost(workerId: string): void {
    this.#handle({ type: "worker_lost", workerId });
  }

  permitsChanged(workerId: string, permits: number): void {
    this.#handle({ type: "permits_changed", workerId, permits });
  }

  #abort(callId: CallId): void {
    const open = this.#close(callId);
    if (open === undefined) return;
    // For one that has not been submitted yet this is an unknown call, which the scheduler ignores.
    this.#handle({ type: "call_aborted", callId });
    open.reject(new AppError("client_gone"));
  }

  /** Obeying a command can itself cause an event (a discarded worker is lost at once): it waits until all commands of this one are obeyed. */
  #handle(event: WithoutTime<SchedulerEvent>): void {
    this.#events.push({ ...event, atMs: this.#clock.nowMs() });
    if (this.#handling) return;
    this.#handling = true;
    try {
      for (let next = this.#events.shift(); next !== undefined; next = this.#events.shift()) {
        for (const command of this.#scheduler.handle(next)) this.#obey(command);
      }
    } finally {
      this.#handling = false;
    }
  }

  #obey(command: SchedulerCommand): void {
    switch (command.type) {
      case "run_batch":
        void this.#run(command.workerId, command.batch);
        return;
      case "complete_call":
        this.#complete(command.callId);
        return;
      case "reject_call":
        this.#reject(command);
        return;
      case "discard_worker":
        this.#pool.discard(command.workerId);
        return;
      case "set_timer":
        this.#timer?.clear();
        this.#timer = this.#clock.setTimer(command.atMs, () => this.#handle({ type: "timer_fired" }));
        return;
      case "announce_drained":
        this.#timer?.clear();
        this.#drained.resolve();
    }
  }

  /** Runs one batch to its end. Never rejects: each end is an event. */
  async #run(workerId: string, batch: Batch): Promise<void> {
    const startedAtMs = this.#clock.nowMs();
    // Kept for the whole flight: a call that is aborted meanwhile leaves #open, but its neighbours still need their rows.
    const calls = batch.inputs.map(({ callId }) => this.#openCall(callId));
    for (const open of calls) this.#noteStart(open, startedAtMs);
    const first = calls[0];
    assertBug(first !== undefined, "the scheduler cut an empty batch");
    const texts = batch.inputs.map(({ index }, at) => calls[at]?.call.texts[index] ?? "");
    const outcome = await this.#pool.run(workerId, { ...optionsOf(first.call), texts }).catch(asBatchError);
    // A lost worker's batches end with `worker_lost`, which the pool has reported already.
    if (outcome instanceof BatchError && outcome.kind === "worker_lost") return;
    const tookMs = this.#clock.nowMs() - startedAtMs;
    this.#observer.batchEnded({ inputs: batch.inputs.length, paddedTokens: batch.paddedTokens, tookMs });
    if (outcome instanceof BatchError) {
      this.#handle({ type: "batch_failed", batchId: batch.id });
      return;
    }
    for (const [row, { index }] of batch.inputs.entries()) calls[row]?.rows.keep(index, outcome, row);
    this.#handle({ type: "batch_finished", batchId: batch.id, failedInputs: outcome.failedRows });
  }

  #openCall(callId: CallId): OpenCall {
    const open = this.#open.get(callId);
    assertBug(open !== undefined, "the scheduler cut an input of a call that has ended");
    return open;
  }

  #noteStart(open: OpenCall, startedAtMs: number): void {
    if (open.startedAtMs !== undefined) return;
    open.startedAtMs = startedAtMs;
    this.#observer.permitWaited(startedAtMs - open.admittedAtMs);
  }

  #complete(callId: CallId): void {
    const open = this.#close(callId);
    assertBug(open !== undefined, "the scheduler completed a call twice");
    const startedAtMs = open.startedAtMs ?? open.admittedAtMs;
    const { data, dimensions, pooling, tokenCounts, truncated } = open.rows;
    open.resolve({
      data,
      dimensions,
      pooling,
      tokenCounts,
      truncated,
      queueMs: startedAtMs - open.admittedAtMs,
      batchMs: this.#clock.nowMs() - startedAtMs,
    });
  }

  #reject(command: Extract<SchedulerCommand, { type: "reject_call" }>): void {
    const open = this.#close(command.callId);
    assertBug(open !== undefined, "the scheduler rejected a call twice");
    const { reason, retryAfterMs, inputIndex, phase } = command;
    const param = inputIndex === undefined ? phase : `text[${inputIndex}]`;
    open.reject(
      new AppError(reason, {
        ...(param === undefined ? {} : { param }),
        ...(retryAfterMs > 0 ? { retryAfterMs } : {}),
      }),
    );
  }

  #close(callId: CallId): OpenCall | undefined {
    const open = this.#open.get(callId);
    this.#open.delete(callId);
    open?.call.signal.removeEventListener("abort", open.onAbort);
    return open;
  }
}

/** What the inputs of one batch have in common. */
function optionsOf(call: DispatchCall): Omit<BatchRequest, "texts"> {
  const { model, pooling, normalize, promptName, prompt, dimensions, truncationSide } = call;
  return { model, pooling, normalize, promptName, prompt, dimensions, truncationSide };
}

function asBatchError(error: unknown): BatchError {
  return error instanceof BatchError ? error : new BatchError("batch_failed", "the pool failed", { cause: error });
}

type WithoutTime<E> = E extends unknown ? Omit<E, "atMs"> : never;

function assertBug(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Error(`${what}. This is a bug in embedge.`);
}
