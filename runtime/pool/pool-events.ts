/** Why a worker was given up. Fixed words, so that they can label a metric. */
export type LossReason =
  /** It ended by itself, whatever its exit code. */
  | "exited"
  /** It closed fd 3 and lives on. */
  | "pipe_closed"
  /** It sent what the protocol does not allow. */
  | "protocol_error"
  | "start_timeout"
  /** It said itself why it cannot serve. */
  | "start_failed"
  | "spawn_failed"
  /** Another protocol, another model, or other vectors than its fellows. */
  | "wrong_worker"
  /** It did not answer for 10 s while it had nothing to do. */
  | "unresponsive"
  /** It held too much memory, had become slow or failed batches; its successor is ready. */
  | "recycled"
  /** Its owner gave it up: a batch was overdue. */
  | "discarded"
  | "stopped";

/** The same start would end in the same way. */
export const HOPELESS_REASONS: readonly LossReason[] = ["start_failed", "spawn_failed", "wrong_worker"];

export interface WorkerLoss {
  readonly reason: LossReason;
  /** One sentence without a full stop; the worker is its subject. */
  readonly message: string;
}

/** What a local pool tells its log and its counters. */
export type PoolEvent = { readonly workerId: string } & (
  | { readonly type: "worker_started"; readonly pid: number | undefined }
  | { readonly type: "worker_ready"; readonly startMs: number }
  /** It answers no more, or again, while it has nothing to do; meanwhile it gets no batches. */
  | { readonly type: "worker_silent"; readonly isSilent: boolean }
  /** Another process is started that will take its place. */
  | { readonly type: "worker_recycling"; readonly message: string }
  /** Told once its process is gone; no restart follows while the pool stops. */
  | ({ readonly type: "worker_lost"; readonly restartInMs: number | undefined } & WorkerLoss)
  /** One line, at most 8 KiB, control characters escaped. */
  | { readonly type: "worker_output"; readonly stream: OutputStream; readonly line: string }
  /** So many lines were read and not logged since the last line that was. */
  | { readonly type: "worker_output_dropped"; readonly lines: number }
  /** An answer to no open batch. */
  | { readonly type: "reply_dropped"; readonly reason: "unknown_id" | "duplicate" }
);

export type OutputStream = "stdout" | "stderr";
