/** Where the batches of one model run. Local processes and remote hosts look the same from here. */
export interface WorkerPool {
  /** Brings replicas up; resolves when the first is ready. A replica that fails to start is tried again for ever; the promise stays open meanwhile. Rejects with AppError `draining` when the pool is stopped first. */
  start(listener: PoolListener): Promise<void>;
  /** Runs one batch on one worker: one row per text, in order. Rejects with a BatchError. */
  run(workerId: string, request: BatchRequest): Promise<BatchResult>;
  /** Gives a worker up at once. Local: SIGKILL, then restart. */
  discard(workerId: string): void;
  /** Lets running batches finish for `graceMs`, then discards the rest; resolves when no child process is left. */
  stop(graceMs: number): Promise<void>;
  /** For /readyz, logs and people. */
  status(): PoolStatus;
}

/** Each worker is reported ready once and lost once; `workerLost` comes before its runs reject. */
export interface PoolListener {
  workerReady(worker: ReadyWorker): void;
  workerLost(workerId: string, cause: string): void;
  /** It is ready and gets batches for so many permits from now on; those over the number run to their end. */
  permitsChanged?(workerId: string, permits: number): void;
}

export interface ReadyWorker {
  /** Unique per process: a restarted replica has a new id. */
  readonly id: string;
  readonly permits: number;
  readonly model: ModelInfo;
}

/** What a worker says of the model it holds; the answer of `get_model_info`. */
export interface ModelInfo {
  readonly model: string;
  readonly revision: string;
  readonly modelType: string;
  readonly dimensions: number;
  /** Longest input in tokens, special tokens included; longer ones are cut. */
  readonly maxTokens: number;
  readonly pooling: Pooling;
  /** "cpu" or "gpu". */
  readonly device: string;
  /** Whether the extra `fast` is in use. */
  readonly fast?: boolean | undefined;
  /** The BLAS in use and its probed speed, GFLOP/s; 0 where not probed. */
  readonly blas: { readonly name: string; readonly gflops: number };
  /** Names of the prompts that its files define. */
  readonly prompts: readonly string[];
  /** The prompt of texts that ask for none. */
  readonly defaultPrompt: string | null;
  /** Lengths to which its vectors may be cut besides `dimensions` itself; null: any. */
  readonly dimensionsAllowed: readonly number[] | null;
  /** What was assumed where the model folder says nothing. */
  readonly assumptions: readonly string[];
  /** What the worker's process held when it was ready; undefined where it cannot tell. */
  readonly memoryBytes?: number | undefined;
}

export interface PoolStatus {
  readonly workersWanted: number;
  readonly workers: readonly WorkerStatus[];
}

export interface WorkerStatus {
  readonly id: string;
  readonly pid: number | undefined;
  readonly state: "starting" | "ready" | "stopping" | "waiting_to_restart";
  readonly restarts: number;
  /** Why it is not ready, in one sentence; undefined when it is. */
  readonly problem: string | undefined;
  /** It said why it cannot start, or failed three times alike: the next try will hardly do better. */
  readonly cannotStart?: boolean;
  /** Milliseconds to the next start, when waiting. */
  readonly restartInMs: number | undefined;
}

export type Pooling = "mean" | "cls" | "last_token";

/** What a caller may ask beside pooling and normalisation; what is undefined is as the model's files say. */
export interface TextOptions {
  /** Name of one of the model's prompts. */
  readonly promptName?: string | undefined;
  /** Put before each text, its tokens counted; never beside `promptName`. */
  readonly prompt?: string | undefined;
  /** Vectors are cut to so many numbers, then normalised if at all (Matryoshka). */
  readonly dimensions?: number | undefined;
  /** The side at which a text beyond the model's limit loses tokens. */
  readonly truncationSide?: "right" | "left" | undefined;
}

export interface BatchRequest extends TextOptions {
  readonly model: string;
  /** "default": what the model's own files say. */
  readonly pooling: Pooling | "default";
  readonly normalize: boolean;
  readonly texts: readonly string[];
}

/** Row-major float32 matrix of shape [rows, dimensions]. Every value of a row that is not in `failedRows` is finite. */
export interface VectorBlock {
  readonly rows: number;
  readonly dimensions: number;
  readonly data: Float32Array;
  /** Each row as a JSON list in ASCII, where the pool writes it: the shortest decimals that are the same float32. */
  readonly json?: readonly (Uint8Array | undefined)[];
}

export interface BatchResult {
  readonly vectors: VectorBlock;
  /** Tokens of each text after truncation, special tokens counted. */
  readonly tokenCounts: readonly number[];
  /** Rows whose text was cut to the model's limit. */
  readonly truncatedRows: readonly number[];
  /** Rows that gave no valid vector (NaN, infinite, zero): the text is poison. */
  readonly failedRows: readonly number[];
  /** Memory of its process after the batch; undefined where the system does not tell. */
  readonly residentBytes?: number | undefined;
  /** Time inside the worker. */
  readonly computeMs: number;
  /** The pooling that ran. */
  readonly pooling: Pooling;
}

/** How a batch can fail as a whole: `batch_failed` (the worker lives) or `worker_lost`. */
export class BatchError extends Error {
  readonly kind: "batch_failed" | "worker_lost";

  constructor(kind: "batch_failed" | "worker_lost", message: string, options?: { readonly cause?: unknown }) {
    super(message, options);
    this.name = "BatchError";
    this.kind = kind;
  }
}
