/** The scheduler's vocabulary: events go in, commands come out. This file and its neighbours import nothing from outside. */

export type CallId = number;
export type BatchId = number;
export type WorkerId = string;

/** Interactive calls go before bulk ones, which still get a tenth of the tokens while both wait. */
export type Priority = "interactive" | "bulk";

/** A call as the scheduler sees it: cost in estimated tokens per input, never the texts. */
export interface Call {
  readonly id: CallId;
  /** What inputs must agree on to share a batch: model, pooling, normalisation. */
  readonly batchKey: string;
  /** One positive integer per input. */
  readonly inputTokens: readonly number[];
  readonly deadlineAtMs: number;
  /** Who shares the workers with others, token for token; all calls without one are of the same tenant. */
  readonly tenant?: string;
  /** Interactive by default. */
  readonly priority?: Priority;
  /** Whose workers run it; all calls without one are of the same model. */
  readonly model?: string;
}

/** One input of one call: the smallest thing that waits, runs or fails. */
export interface InputRef {
  readonly callId: CallId;
  readonly index: number;
}

/** Inputs that run together; `paddedTokens` is longest × count, the cost of the padded forward pass. */
export interface Batch {
  readonly id: BatchId;
  readonly batchKey: string;
  readonly inputs: readonly InputRef[];
  readonly paddedTokens: number;
}

export type RejectReason =
  | "queue_full"
  /** The queue is full and the caller's tenant holds more than its share; also ends its newest waiting calls for those of others. */
  | "tenant_queue_full"
  | "starting"
  | "no_worker"
  | "worker_failed"
  | "deadline_exceeded"
  | "draining"
  | "poison_input"
  /** Its model cannot be loaded, at least not now. */
  | "model_unavailable"
  /** Its model alone needs more memory than models may have. */
  | "model_too_large";

/**
 * Where a call was when its deadline passed; `loading`: it waited for its model; `batched`: nothing of it runs yet, but it
 * stands in a worker behind another batch.
 */
export type DeadlinePhase = "queued" | "loading" | "batched" | "in_flight";

/** What a ready worker holds. */
interface WorkerModel {
  /** None: the model of the calls without one. */
  readonly model?: string;
  /** What its process takes; where nobody knows, what was assumed before is left. */
  readonly memoryBytes?: number;
}

/** What happened, and when (`atMs`, one monotonic clock). */
export type SchedulerEvent = { readonly atMs: number } &
  /** `moreFollow`: more calls of the same instant follow at once, and no batch is cut before the last one, so that they can share it. */
  (
    | { readonly type: "call_submitted"; readonly call: Call; readonly moreFollow?: boolean }
    | { readonly type: "call_aborted"; readonly callId: CallId }
    | ({ readonly type: "worker_ready"; readonly workerId: WorkerId; readonly permits: number } & WorkerModel)
    | { readonly type: "worker_lost"; readonly workerId: WorkerId }
    /** Batches over the new number run to their end; until then the worker gets no other. */
    | { readonly type: "permits_changed"; readonly workerId: WorkerId; readonly permits: number }
    /** `failedInputs`: positions in `batch.inputs` that gave no valid vector (the worker lives, the neighbours are fine). */
    | { readonly type: "batch_finished"; readonly batchId: BatchId; readonly failedInputs: readonly number[] }
    /** The whole batch gave nothing, the worker lives. A batch of a lost worker gets no event of its own: `worker_lost` covers it. */
    | { readonly type: "batch_failed"; readonly batchId: BatchId }
    /** Every process of an unloaded model has ended: its memory is free. */
    | { readonly type: "model_unloaded"; readonly model: string }
    /** A model that was to be loaded is given up; none of its processes is left. */
    | { readonly type: "model_failed"; readonly model: string }
    | { readonly type: "timer_fired" }
    | { readonly type: "drain_requested"; readonly graceMs: number }
  );

/** What the dispatcher must now do, in order. */
export type SchedulerCommand =
  | { readonly type: "run_batch"; readonly workerId: WorkerId; readonly batch: Batch }
  | { readonly type: "complete_call"; readonly callId: CallId }
  | {
      readonly type: "reject_call";
      readonly callId: CallId;
      readonly reason: RejectReason;
      /** 0 where the reason carries no retry advice. */
      readonly retryAfterMs: number;
      readonly inputIndex?: number;
      readonly phase?: DeadlinePhase;
    }
  /** The worker's batch is overdue. It is lost from now on, without waiting for `worker_lost`; late answers of its batches are ignored. */
  | { readonly type: "discard_worker"; readonly workerId: WorkerId }
  /** Bring up the workers of a model; each comes as `worker_ready`, or `model_failed` once. */
  | { readonly type: "load_model"; readonly model: string }
  /** End the workers of a model, which are lost from now on and run nothing; `model_unloaded` follows. */
  | { readonly type: "unload_model"; readonly model: string }
  /** Replaces the one timer. */
  | { readonly type: "set_timer"; readonly atMs: number }
  | { readonly type: "announce_drained" };

/** The queueing policy as a state machine: starts nothing, reads no clock, holds no text; same events and random numbers, same commands. */
export interface Scheduler {
  handle(event: SchedulerEvent): readonly SchedulerCommand[];
  snapshot(): SchedulerSnapshot;
}

/** At any instant queueInputs + flyingInputs + doneInputs = liveInputs: no input of an unsettled call is lost or doubled. */
export interface SchedulerSnapshot {
  readonly queueInputs: number;
  readonly flyingInputs: number;
  readonly doneInputs: number;
  readonly liveInputs: number;
  readonly queueTokens: number;
  readonly liveCalls: number;
  readonly freePermits: number;
  readonly flights: number;
  readonly readyWorkers: number;
  readonly draining: boolean;
  /** In the order of the limits; empty where those name none. */
  readonly models: readonly ModelSnapshot[];
}

/** `leaving` models are `loaded`: they finish what runs. */
export type ModelStage = "cold" | "loading" | "loaded" | "unloading";

export interface ModelSnapshot {
  readonly model: string;
  readonly stage: ModelStage;
  /** Of all its workers, as measured or else assumed; 0 while it is cold. */
  readonly memoryBytes: number;
}

export interface BatchBudget {
  readonly inputsMax: number;
  /** Longest × count. */
  readonly paddedTokensMax: number;
  /** Sum over the inputs: what a batch costs, as a worker sorts it by length before it pads. Infinity by default. */
  readonly tokensMax?: number;
  /** By how many later inputs of a more fitting length a waiting one may be passed over; 0, the default: by none. */
  readonly lookAheadInputsMax?: number;
}

export interface SchedulerLimits extends BatchBudget {
  readonly queueInputsMax: number;
  readonly queueTokensMax: number;
  /** A flight older than this is overdue: its worker is discarded. Counted from when the worker came to it, for one that waited behind another; once longer where the timer itself was late. */
  readonly batchTimeoutMs: number;
  /** Lost workers and failed batches after which an input that fails alone is refused as `worker_failed`, where it cannot be called poison because every batch fails. */
  readonly attemptsMax: number;
  /** A batch is cut so small that it should take no longer, as far as the batches before it tell; 250 by default. */
  readonly batchTargetMs?: number;
  /** Batches that may run at the same time, over the workers of all models; default: as many as there are permits. */
  readonly flightsMax?: number;
  /** Which models may be in memory together. Without it none is loaded or unloaded: there are those whose workers come. */
  readonly models?: ModelLimits;
}

export interface ModelLimits {
  /** Of all models together. One that is alone may take more than its files had told. */
  readonly memoryBytesMax: number;
  /** What each takes with all its workers, as far as its files tell. */
  readonly bytes: ReadonlyMap<string, number>;
  /** Loading from the start, without a command. */
  readonly first: string;
  /** Processes of one model. */
  readonly workers: number;
}
