import type { Clock } from "../clock.ts";
import { AppError } from "../errors.ts";
import { BatchError } from "../pool/worker-pool.ts";
import type { ModelPool, ModelPoolListener } from "../pool/model-pool.ts";
import type { BatchRequest, ReadyWorker } from "../pool/worker-pool.ts";
import type {
  Batch,
  CallId,
  Priority,
  Scheduler,
  SchedulerCommand,
  SchedulerEvent,
  SchedulerSnapshot,
} from "../scheduler/events.ts";
import { CallRows, type DispatchResult } from "./call-rows.ts";
import { createGathering } from "./gathering.ts";
import { asBatchError, assertBug, optionsOf, refusalError } from "./outcomes.ts";

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

/** Told what happens, for metrics. Durations in milliseconds. */
export interface DispatchObserver {
  /** A call's first batch started: how long it waited for a permit. */
  permitWaited(waitMs: number): void;
  batchEnded(batch: { readonly inputs: number; readonly paddedTokens: number; readonly tookMs: number }): void;
}

/** Turns promises into scheduler events and scheduler commands into pool runs; keeps the texts and the one timer. */
export interface Dispatcher extends ModelPoolListener {
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
  /** Why it is ended from outside. */
  ending: AppError | undefined;
}

type DispatchPool = Pick<ModelPool, "run" | "discard" | "load" | "unload">;

export interface DispatcherOptions {
  readonly scheduler: Scheduler;
  readonly pool: DispatchPool;
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
  readonly #pool: DispatchPool;
  readonly #clock: Clock;
  readonly #observer: DispatchObserver;
  readonly #open = new Map<CallId, OpenCall>();
  readonly #events: SchedulerEvent[] = [];
  readonly #gather: (callId: CallId) => void;
  /** By model, of its workers that were ready last. */
  readonly #revisions = new Map<string, string>();
  /** By model: why it could not be loaded. */
  readonly #modelProblems = new Map<string, string>();
  readonly #drained = Promise.withResolvers<void>();
  #timer: { clear(): void } | undefined;
  #lastCallId = 0;
  #handling = false;

  constructor({ scheduler, pool, clock, defer, observer }: DispatcherOptions) {
    this.#gather = createGathering(defer, (callIds) => this.#submitAll(callIds));
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
    const onAbort = (): void => this.#end(callId, new AppError("client_gone"));
    this.#open.set(callId, {
      call,
      admittedAtMs: this.#clock.nowMs(),
      resolve,
      reject,
      onAbort,
      rows: new CallRows(call.texts.length),
      startedAtMs: undefined,
      ending: undefined,
    });
    call.signal.addEventListener("abort", onAbort, { once: true });
    this.#gather(callId);
    return promise;
  }

  /** Calls that arrived together come to the scheduler together: the first would else start a batch of its own. */
  #submitAll(callIds: readonly CallId[]): void {
    const arrivals = callIds.filter((callId) => this.#open.has(callId));
    for (const [at, callId] of arrivals.entries()) {
      const { call } = this.#openCall(callId);
      const { model, inputTokens, deadlineAtMs, tenant, priority } = call;
      const share = { ...(tenant !== undefined && { tenant }), ...(priority !== undefined && { priority }) };
      // Inputs share a batch only where the forward pass and what comes before and after it are the same.
      const batchKey = JSON.stringify(optionsOf(call));
      const moreFollow = at < arrivals.length - 1;
      this.#handle({
        type: "call_submitted",
        call: { id: callId, model, batchKey, inputTokens, deadlineAtMs, ...share },
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

  workerReady({ id: workerId, permits, model: { model, revision, memoryBytes } }: ReadyWorker): void {
    this.#revisions.set(model, revision);
    const memory = memoryBytes === undefined ? {} : { memoryBytes };
    this.#handle({ type: "worker_ready", workerId, permits, model, ...memory });
  }

  modelUnloaded(model: string): void {
    this.#handle({ type: "model_unloaded", model });
  }

  modelFailed(model: string, problem: string): void {
    this.#modelProblems.set(model, problem);
    this.#handle({ type: "model_failed", model });
  }

  workerLost(workerId: string): void {
    this.#handle({ type: "worker_lost", workerId });
  }

  permitsChanged(workerId: string, permits: number): void {
    this.#handle({ type: "permits_changed", workerId, permits });
  }

  #end(callId: CallId, error: AppError): void {
    const open = this.#open.get(callId);
    if (open === undefined) return;
    open.ending = error;
    // For one that has not been submitted yet this is an unknown call, which the scheduler ignores.
    this.#handle({ type: "call_aborted", callId });
  }

  /** Obeying a command can itself cause an event (a discarded worker is lost at once): it waits until all commands of this one are obeyed. */
  #handle(event: WithoutTime<SchedulerEvent>): void {
    this.#events.push({ ...event, atMs: this.#clock.nowMs() });
    if (this.#handling) return;
    this.#handling = true;
    try {
      for (let next = this.#events.shift(); next !== undefined; next = this.#events.shift()) {
        for (const command of this.#scheduler.handle(next)) this.#obey(command);
        // Not before: where its deadline has come in the same instant, the scheduler has just refused it.
        if (next.type === "call_aborted") this.#closeAborted(next.callId);
      }
    } finally {
      this.#handling = false;
    }
  }

  #closeAborted(callId: CallId): void {
    const open = this.#close(callId);
    open?.reject(open.ending ?? new AppError("client_gone"));
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
      case "load_model":
        this.#pool.load(command.model);
        return;
      case "unload_model":
        this.#pool.unload(command.model);
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
    const revision = this.#revisions.get(first.call.model) ?? "";
    const outcome = await this.#pool.run(workerId, { ...optionsOf(first.call), texts }).catch(asBatchError);
    // A lost worker's batches end with `worker_lost`, which the pool has reported already.
    if (outcome instanceof BatchError && outcome.kind === "worker_lost") return;
    const tookMs = this.#clock.nowMs() - startedAtMs;
    this.#observer.batchEnded({ inputs: batch.inputs.length, paddedTokens: batch.paddedTokens, tookMs });
    if (outcome instanceof BatchError) {
      this.#handle({ type: "batch_failed", batchId: batch.id });
      return;
    }
    for (const [row, { callId, index }] of batch.inputs.entries()) {
      const rows = calls[row]?.rows;
      if (rows?.differs(revision) === true) this.#end(callId, new AppError("model_changed", { retryAfterMs: 1_000 }));
      else rows?.keep(index, { ...outcome, revision }, row);
    }
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
    open.resolve(open.rows.result(startedAtMs - open.admittedAtMs, this.#clock.nowMs() - startedAtMs));
  }

  #reject(command: Extract<SchedulerCommand, { type: "reject_call" }>): void {
    const open = this.#close(command.callId);
    assertBug(open !== undefined, "the scheduler rejected a call twice");
    open.reject(refusalError(command, this.#modelProblems.get(open.call.model)));
  }

  #close(callId: CallId): OpenCall | undefined {
    const open = this.#open.get(callId);
    this.#open.delete(callId);
    open?.call.signal.removeEventListener("abort", open.onAbort);
    return open;
  }
}

type WithoutTime<E> = E extends unknown ? Omit<E, "atMs"> : never;
