import type { Clock } from "./clock.ts";
import type { Config } from "./config/schema.ts";
import type { Dispatcher } from "./embedder/dispatcher.ts";
import type { Embedder, EmbedResult, ServedModel } from "./embedder/embedder.ts";
import { type Listener, listen } from "./http/listen.ts";
import type { ServingState } from "./http/readiness.ts";
import type { Log } from "./observe/log.ts";
import type { ModelInfo, PoolListener, Pooling, PoolStatus, TextOptions, WorkerPool } from "./pool/worker-pool.ts";
import type { Invoker } from "./routing/invocation.ts";

/** A running host. `fetch` is the whole plugin interface: mount it in any server that speaks Request and Response. */
export interface Host extends AsyncDisposable {
  readonly fetch: (request: Request) => Promise<Response>;
  /** Opens the configured port; throws ListenError where that cannot be. */
  listen(): Promise<{ readonly url: string }>;
  /** Resolves when a worker can serve. Starts the workers, as the first `fetch`, `embed` or `listen` does. */
  ready(): Promise<void>;
  /** Vectors without HTTP: the same queue, order and limits. */
  embed(texts: readonly string[], options?: HostEmbedOptions): Promise<EmbedResult>;
  models(): readonly ServedModel[];
  status(): PoolStatus;
  /** Refuses new calls with 503, finishes what was admitted, for `graceMs` at most. */
  drain(graceMs: number): Promise<void>;
  /** Ends everything at once; no child process, socket or timer is left. */
  close(): Promise<void>;
}

export interface HostEmbedOptions extends TextOptions {
  /** A name or an alias. Default: the model of the configuration. */
  readonly model?: string;
  readonly pooling?: Pooling;
  /** Default true. */
  readonly normalize?: boolean;
  readonly signal?: AbortSignal;
  readonly timeoutMs?: number;
}

/** What is known of the pool from what it told. */
export class HostState {
  readonly readyWorkers: Set<string> = new Set();
  model: ModelInfo | undefined;
  isDraining = false;

  /** For `/readyz`. */
  serving({ workersWanted, workers }: PoolStatus): ServingState {
    return {
      isDraining: this.isDraining,
      wasReady: this.model !== undefined,
      workersReady: this.readyWorkers.size,
      workersWanted,
      waiting: workers.filter(({ state }) => state !== "ready"),
    };
  }
}

/** What create-host.ts has put together. */
export interface HostRooms {
  readonly config: Config;
  readonly clock: Clock;
  readonly log: Log;
  readonly state: HostState;
  readonly pool: WorkerPool;
  readonly dispatcher: Dispatcher;
  readonly embedder: Embedder;
  readonly invoker: Invoker;
  readonly fetch: (request: Request) => Response | Promise<Response>;
}

/** The life of a host: start, serve, drain, end. */
export class ComposedHost implements Host {
  readonly #rooms: HostRooms;
  #started: Promise<void> | undefined;
  #listener: Listener | undefined;
  #closed: Promise<void> | undefined;

  constructor(rooms: HostRooms) {
    this.#rooms = rooms;
  }

  readonly fetch: Host["fetch"] = async (request) => {
    void this.#start();
    return this.#rooms.fetch(request);
  };

  async listen(): Promise<{ readonly url: string }> {
    const { config, clock, state, log } = this.#rooms;
    this.#listener = await listen(this.fetch, {
      ...config.server,
      clock,
      isDraining: () => state.isDraining,
      onConnectionError: (error) => log.logger.debug({ code: error.code }, "connection ended with an error"),
    });
    void this.#start();
    const { host, port } = this.#listener;
    return { url: `http://${host.includes(":") ? `[${host}]` : host}:${port}` };
  }

  ready(): Promise<void> {
    return this.#start();
  }

  async embed(texts: readonly string[], options: HostEmbedOptions = {}): Promise<EmbedResult> {
    void this.#start();
    const { config, clock, embedder } = this.#rooms;
    const { model, normalize = true, signal, timeoutMs = config.server.requestTimeoutMs, ...asked } = options;
    return embedder.embed({
      model: model ?? this.models()[0]?.name ?? config.models.default,
      texts,
      ...asked,
      normalize,
      deadlineAtMs: clock.nowMs() + timeoutMs,
      signal: signal ?? new AbortController().signal,
    });
  }

  models(): readonly ServedModel[] {
    return this.#rooms.embedder.models();
  }

  status(): PoolStatus {
    return this.#rooms.pool.status();
  }

  async drain(graceMs: number): Promise<void> {
    const { state, dispatcher, invoker, clock } = this.#rooms;
    const endAtMs = clock.nowMs() + graceMs;
    state.isDraining = true;
    await dispatcher.drain(graceMs);
    // Answers that are being written, and what `waitUntil` holds.
    await this.#listener?.close(Math.max(0, endAtMs - clock.nowMs()));
    await Promise.race([invoker.idle(), elapsed(clock, endAtMs)]);
  }

  close(): Promise<void> {
    this.#closed ??= this.#end();
    return this.#closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #start(): Promise<void> {
    const { pool, dispatcher, state } = this.#rooms;
    this.#started ??= pool.start(watched(dispatcher, state));
    // Whoever waits for it learns of its failure; nobody has to wait.
    this.#started.catch(() => {});
    return this.#started;
  }

  async #end(): Promise<void> {
    const { invoker, pool, log, state } = this.#rooms;
    state.isDraining = true;
    // First, and before anything is awaited: whoever exits right after this call leaves no worker.
    const stopped = pool.stop(0);
    invoker.abortAll();
    await Promise.all([stopped, this.#listener?.close(0)]);
    log.flush();
  }
}

/** The dispatcher as listener, with a note of which workers are ready and what they hold. */
function watched(dispatcher: Dispatcher, state: HostState): PoolListener {
  return {
    workerReady(worker) {
      state.readyWorkers.add(worker.id);
      state.model = worker.model;
      dispatcher.workerReady(worker);
    },
    workerLost(workerId, cause) {
      state.readyWorkers.delete(workerId);
      dispatcher.workerLost(workerId, cause);
    },
  };
}

function elapsed(clock: Clock, atMs: number): Promise<void> {
  return new Promise((resolve) => clock.setTimer(atMs, resolve));
}
