import { randomBytes } from "node:crypto";

import type { Clock } from "../clock.ts";
import { createFrameDecoder, encodeFrame, FrameError, type Frame } from "./frames.ts";
import { createHeartbeat, type Heartbeat } from "./heartbeat.ts";
import type { PoolEvent, WorkerLoss } from "./pool-events.ts";
import { createWorkerOutput, type WorkerOutput } from "./worker-output.ts";
import { startWorkerProcess, type WorkerProcess } from "./worker-process.ts";
import {
  PROTOCOL,
  ProtocolError,
  readError,
  readReady,
  readReplyId,
  readResult,
  readStartFailed,
  resultBytesMax,
  type SentBatch,
} from "./worker-replies.ts";
import { BatchError, type BatchRequest, type BatchResult, type ModelInfo } from "./worker-pool.ts";

export interface PythonWorkerOptions {
  readonly id: string;
  readonly commandLine: readonly [file: string, ...args: string[]];
  readonly environment: Readonly<Record<string, string>>;
  /** Longest frame body to the worker. */
  readonly frameBytesMax: number;
  readonly clock: Clock;
  readonly log: (event: PoolEvent) => void;
  /** It has its first vector. Told once at most. */
  readonly onReady: (model: ModelInfo) => void;
  /** It does not answer though it has nothing to do, or answers again. */
  readonly onSilent: (isSilent: boolean) => void;
  /** It is given up. Told once, in a microtask of its own, before its batches reject. */
  readonly onLost: (loss: WorkerLoss) => void;
}

interface OpenBatch extends SentBatch {
  readonly resolve: (result: BatchResult) => void;
  readonly reject: (error: BatchError) => void;
}

const HEAD_BYTES_MAX = 64 * 1024;
const HEAD_BYTES_PER_ROW = 64;
const STRAY_REPLIES_MAX = 3;
const STRAY_WINDOW_MS = 60_000;

/** One Python process and the batches it has open. */
export class PythonWorker {
  readonly id: string;
  /** Resolves when it was lost and its process is gone, with the reason. */
  readonly gone: Promise<WorkerLoss>;
  readonly #options: PythonWorkerOptions;
  readonly #process: WorkerProcess;
  readonly #output: WorkerOutput;
  readonly #open = new Map<number, OpenBatch>();
  /** Batches not yet written, by number: encoded only when fd 3 takes them, so that a worker that does not read costs one batch of memory. */
  readonly #unwritten: number[] = [];
  readonly #strayRepliesAtMs: number[] = [];
  #isBlocked = false;
  #nextBatch = 1;
  #rowsMax = 0;
  #model: ModelInfo | undefined;
  #startFailure: WorkerLoss | undefined;
  #loss: WorkerLoss | undefined;
  #heartbeat: Heartbeat | undefined;
  readonly #lossTold = Promise.withResolvers<WorkerLoss>();

  constructor(options: PythonWorkerOptions) {
    this.id = options.id;
    this.#options = options;
    this.#output = createWorkerOutput(options.id, options.clock, options.log);
    const decode = createFrameDecoder(
      () => this.#frameLimits(),
      (frame) => this.#accept(frame),
    );
    this.#process = startWorkerProcess({
      commandLine: options.commandLine,
      environment: options.environment,
      clock: options.clock,
      onData: (chunk) => this.#read(decode, chunk),
      onDrain: () => {
        this.#isBlocked = false;
        this.#writeBatches();
      },
      onOutput: (stream, chunk) => this.#output.write(stream, chunk),
      onEnd: (loss) => this.lose(this.#startFailure ?? loss),
    });
    this.gone = this.#process.gone.then(() => {
      this.#output.finish();
      return this.#lossTold.promise;
    });
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  get openBatches(): number {
    return this.#open.size;
  }

  /** The last lines it printed. */
  lastLines(): readonly string[] {
    return this.#output.lastLines();
  }

  /** Runs one batch; call it only between `onReady` and `onLost`. */
  run(request: BatchRequest): Promise<BatchResult> {
    return new Promise((resolve, reject) => {
      const dimensions = request.dimensions ?? this.#model?.dimensions ?? 0;
      const number = this.#nextBatch++;
      this.#open.set(number, { request, nonce: randomBytes(8).toString("hex"), dimensions, resolve, reject });
      this.#rowsMax = Math.max(this.#rowsMax, request.texts.length);
      this.#unwritten.push(number);
      this.#writeBatches();
    });
  }

  /** Kills it now and tells so in a microtask, since who gives a worker up may be in the middle of something. */
  lose(loss: WorkerLoss): void {
    if (this.#loss !== undefined) return;
    this.#loss = loss;
    this.#heartbeat?.stop();
    this.#process.kill();
    queueMicrotask(() => {
      this.#options.onLost(loss);
      const error = new BatchError("worker_lost", `worker ${this.id} ${loss.message}`);
      for (const batch of this.#open.values()) batch.reject(error);
      this.#open.clear();
      this.#lossTold.resolve(loss);
    });
  }

  #writeBatches(): void {
    while (!this.#isBlocked && this.#loss === undefined) {
      const number = this.#unwritten.shift();
      const batch = number === undefined ? undefined : this.#open.get(number);
      if (number === undefined || batch === undefined) return;
      const { model: _held, texts, ...options } = batch.request;
      const body = Buffer.from(JSON.stringify(texts));
      if (body.length > this.#options.frameBytesMax) {
        this.#open.delete(number);
        batch.reject(
          new BatchError("batch_failed", `a batch of ${body.length} bytes, at most ${this.#options.frameBytesMax}`),
        );
        continue;
      }
      const head = { type: "embed", id: number, nonce: batch.nonce, ...options };
      this.#isBlocked = !this.#process.write(encodeFrame(head, body));
    }
  }

  #read(decode: (chunk: Uint8Array) => void, chunk: Uint8Array): void {
    if (this.#loss !== undefined) return;
    try {
      decode(chunk);
    } catch (error) {
      if (!(error instanceof FrameError || error instanceof ProtocolError)) throw error;
      this.lose({ reason: "protocol_error", message: `broke the protocol: ${error.message}` });
    }
  }

  /** No answer is longer than that of the largest batch ever sent to it. */
  #frameLimits(): { headBytesMax: number; bodyBytesMax: number } {
    return {
      headBytesMax: HEAD_BYTES_MAX + HEAD_BYTES_PER_ROW * this.#rowsMax,
      bodyBytesMax: resultBytesMax(this.#rowsMax, this.#model?.dimensions ?? 0),
    };
  }

  #accept(frame: Frame): void {
    if (this.#loss !== undefined) return;
    switch (frame.head.type) {
      case "ready":
        this.#acceptReady(frame);
        return;
      case "start_failed":
        // The worker ends by itself; its last words on stderr are worth waiting for.
        this.#startFailure = { reason: "start_failed", message: `cannot start: ${readStartFailed(frame.head)}` };
        return;
      case "result":
        this.#settle(frame, (batch) => batch.resolve(readResult(frame, batch)));
        return;
      case "error":
        this.#settle(frame, (batch) => batch.reject(new BatchError("batch_failed", readError(frame.head, batch))));
        return;
      case "pong":
        this.#heartbeat?.pong(readReplyId(frame.head));
        return;
      default:
        throw new ProtocolError("sent a frame of a type that nobody asked for");
    }
  }

  #acceptReady({ head }: Frame): void {
    if (this.#model !== undefined) throw new ProtocolError("said twice that it is ready");
    if (head["protocol"] !== PROTOCOL) {
      const spoken = typeof head["protocol"] === "number" ? head["protocol"] : "without a number";
      this.lose({ reason: "wrong_worker", message: `speaks protocol ${spoken}, want ${PROTOCOL}` });
      return;
    }
    this.#model = readReady(head);
    this.#heartbeat = createHeartbeat({
      clock: this.#options.clock,
      isIdle: () => this.#open.size === 0,
      ping: (id) => void this.#process.write(encodeFrame({ type: "ping", id })),
      onSilent: this.#options.onSilent,
      onDead: () => this.lose({ reason: "unresponsive", message: "answered nothing for 10 s while it was idle" }),
    });
    this.#options.onReady(this.#model);
  }

  #settle(frame: Frame, settle: (batch: OpenBatch) => void): void {
    const number = readReplyId(frame.head);
    const batch = this.#open.get(number);
    if (batch === undefined) {
      this.#dropReply(number > 0 && number < this.#nextBatch ? "duplicate" : "unknown_id");
      return;
    }
    settle(batch);
    this.#open.delete(number);
  }

  #dropReply(reason: "duplicate" | "unknown_id"): void {
    const nowMs = this.#options.clock.nowMs();
    this.#options.log({ type: "reply_dropped", workerId: this.id, reason });
    const strays = this.#strayRepliesAtMs;
    strays.push(nowMs);
    while ((strays[0] ?? nowMs) < nowMs - STRAY_WINDOW_MS) strays.shift();
    if (strays.length >= STRAY_REPLIES_MAX) throw new ProtocolError(`sent ${strays.length} replies to no open batch`);
  }
}
