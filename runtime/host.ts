import type { Hono } from "hono";
import type { Env } from "../functions/_types.ts";
import type { Clock } from "./clock.ts";
import type { SettingsChange } from "./compose/live-config.ts";
import type { Settings } from "./config/schema.ts";
import type { Dispatcher } from "./embedder/dispatcher.ts";
import type { EmbedCall, Embedder, EmbedResult, ServedModel } from "./embedder/embedder.ts";
import { createMountedRoutes, type Mount, mountAt, type MountedHost } from "./http/mount.ts";
import { watched } from "./host/host-state.ts";
import { HostSockets, type SocketRooms } from "./host/sockets.ts";
import type { Log } from "./observe/log.ts";
import type { ModelPool, ModelPoolListener, ModelPoolStatus } from "./pool/model-pool.ts";
import type { Pooling, TextOptions } from "./pool/worker-pool.ts";
import type { Invoker } from "./routing/invocation.ts";
import type { WorkerOptions } from "./routing/hosted-worker.ts";
import type { WorkerSet } from "./routing/worker-set.ts";

/**
 * A running host. It owns no socket unless `listen` is called, installs no signal handler and replaces no global.
 *
 * Mounted in somebody else's server it answers below the place where it stands, with the same paths as on a port of its own.
 */
export interface Host extends MountedHost, AsyncDisposable {
  /** For Hono: `app.route("/embed", host.routes)`. */
  readonly routes: Hono;
  /** The same host for a server that leaves the prefix in the path: below `/embed` it answers `/embed/readyz` as `/readyz`. */
  at(prefix: string): MountedHost;
  /**
   * Opens the configured port, or takes the socket that this process inherited as `fd`; throws ListenError where that
   * cannot be, and ConfigError where it would open the host to others without an API key.
   */
  listen(fd?: number): Promise<{ readonly url: string }>;
  /**
   * Opens the door for `env.AI` of functions that run in workerd, on 127.0.0.1 alone; `port` 0, the default, takes a free one.
   * Throws ListenError. `listen` opens it too where `ai.upstreamPort` is set.
   */
  listenUpstream(port?: number): Promise<{ readonly url: string }>;
  /**
   * Asks the Workers themselves: nothing of HTTP stands before them, neither checks nor operations nor log. Rejects with what
   * a function throws, as a service binding does.
   */
  dispatch(request: Request): Promise<Response>;
  /** One Worker of this host: the functions, or the project of this name. Throws a TypeError where there is none. */
  worker(name?: string): WorkerHandle;
  /** Other Workers from now on, over the same pool; a request that runs ends where it began. */
  replaceWorkers(workers: readonly WorkerOptions[]): Promise<void>;
  /**
   * Other settings from now on, as far as a running host can change them; the rest waits for another host. API keys are
   * read again. Throws a ConfigError where they cannot be, and then nothing has changed.
   */
  changeSettings(settings: Settings): SettingsChange;
  /** Loads the functions anew; a request that runs ends in the version in which it began. What is wrong stands in the log. */
  reloadFunctions(): Promise<void>;
  /** Resolves when a worker can serve. Starts the workers, as the first `fetch`, `embed` or `listen` does. */
  ready(): Promise<void>;
  /** Vectors without HTTP: the same queue, order and limits. */
  embed(texts: readonly string[], options?: HostEmbedOptions): Promise<EmbedResult>;
  models(): readonly ServedModel[];
  status(): ModelPoolStatus;
  /**
   * Another process serves on the same sockets: takes no more connections, and serves those that are open until each has ended, with its
   * next answer or when it has idled as long as was promised.
   */
  retire(): Promise<void>;
  /** Refuses new calls with 503, finishes what was admitted, for `graceMs` at most. */
  drain(graceMs: number): Promise<void>;
  /** Ends everything at once; no child process, socket or timer is left. */
  close(): Promise<void>;
}

export interface WorkerHandle {
  readonly name: string;
  /** As `dispatch`, whatever the routes say. */
  readonly fetch: (request: Request) => Promise<Response>;
  /** What it finds in `env`, outside of any request. */
  readonly env: Env;
}

export interface HostEmbedOptions extends TextOptions, Pick<EmbedCall, "tenant" | "priority"> {
  /** A name or an alias. Default: the model of the configuration. */
  readonly model?: string;
  readonly pooling?: Pooling;
  /** Default true. */
  readonly normalize?: boolean;
  readonly signal?: AbortSignal;
  readonly timeoutMs?: number;
}

/** What create-host.ts has put together. */
export interface HostRooms extends SocketRooms {
  readonly log: Log;
  readonly pool: ModelPool;
  readonly dispatcher: Dispatcher;
  readonly embedder: Embedder;
  readonly invoker: Pick<Invoker, "abortAll" | "idle">;
  readonly workers: Pick<WorkerSet, "find" | "run" | "start" | "stopEvents" | "close">;
  readonly replaceWorkers: (workers: readonly WorkerOptions[]) => Promise<void>;
  readonly reloadFunctions: () => Promise<void>;
  readonly upstream: (request: Request) => Promise<Response>;
  /** `/metrics` alone. */
  readonly metricsDoor: (request: Request) => Promise<Response>;
  /** Throws where the settings open the host to everybody. */
  readonly checkExposure: () => void;
  /** Told of the workers by the pool. */
  readonly poolListener: ModelPoolListener;
  readonly changeSettings: (settings: Settings) => SettingsChange;
  /** `mount` is undefined on the port of our own. */
  readonly fetch: (request: Request, mount?: Mount) => Response | Promise<Response>;
}

/** The life of a host: start, serve, drain, end. */
export class ComposedHost implements Host {
  readonly #rooms: HostRooms;
  readonly #sockets: HostSockets;
  #started: Promise<void> | undefined;
  #closed: Promise<void> | undefined;

  readonly fetch: Host["fetch"];
  readonly nodeListener: Host["nodeListener"];
  readonly routes: Host["routes"];

  constructor(rooms: HostRooms) {
    this.#rooms = rooms;
    this.#sockets = new HostSockets(rooms);
    const { fetch, nodeListener } = this.at("");
    this.fetch = fetch;
    this.nodeListener = nodeListener;
    this.routes = createMountedRoutes((request, mount) => this.#answer(request, mount));
  }

  at(prefix: string): MountedHost {
    const { config, connectionFailed } = this.#rooms;
    return mountAt(prefix, (request, mount) => this.#answer(request, mount), {
      writeTimeoutMs: config.server.writeTimeoutMs,
      onConnectionError: connectionFailed,
    });
  }

  async listen(fd?: number): Promise<{ readonly url: string }> {
    const { config, checkExposure, metricsDoor } = this.#rooms;
    const { server, ai, metrics } = config;
    checkExposure();
    const url = await this.#sockets.open((request) => this.#answer(request), { ...server, fd });
    if (ai.upstreamPort > 0) await this.listenUpstream(ai.upstreamPort);
    if (metrics.port > 0) await this.#sockets.open(metricsDoor, metrics);
    void this.#start();
    return { url };
  }

  async listenUpstream(port = 0): Promise<{ readonly url: string }> {
    const { upstream } = this.#rooms;
    const answer = (request: Request): Promise<Response> => {
      void this.#start();
      return upstream(request);
    };
    return { url: await this.#sockets.open(answer, { host: "127.0.0.1", port }) };
  }

  worker(name?: string): WorkerHandle {
    const { workers, clock, config } = this.#rooms;
    void this.#start();
    const worker = workers.find(name);
    if (worker === undefined) throw new TypeError(`${JSON.stringify(name)} worker not found`);
    const env = worker.createEnv({
      id: crypto.randomUUID(),
      deadlineAtMs: () => clock.nowMs() + config.server.requestTimeoutMs,
      signal: new AbortController().signal,
      embedded() {},
    });
    return { name: worker.name, env, fetch: (request) => this.#dispatch(request, worker.name) };
  }

  dispatch(request: Request): Promise<Response> {
    return this.#dispatch(request);
  }

  replaceWorkers(workers: readonly WorkerOptions[]): Promise<void> {
    return this.#rooms.replaceWorkers(workers);
  }

  changeSettings(settings: Settings): SettingsChange {
    return this.#rooms.changeSettings(settings);
  }

  reloadFunctions(): Promise<void> {
    return this.#rooms.reloadFunctions();
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

  status(): ModelPoolStatus {
    return this.#rooms.pool.status();
  }

  retire(): Promise<void> {
    return this.#sockets.retire();
  }

  async drain(graceMs: number): Promise<void> {
    const { state, dispatcher, invoker, workers, clock } = this.#rooms;
    const endAtMs = clock.nowMs() + graceMs;
    state.isDraining = true;
    workers.stopEvents();
    await dispatcher.drain(graceMs);
    // Answers that are being written, and what `waitUntil` holds.
    await this.#sockets.finish(endAtMs);
    await Promise.race([invoker.idle(), elapsed(clock, endAtMs)]);
  }

  close(): Promise<void> {
    this.#closed ??= this.#end();
    return this.#closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #answer(request: Request, mount?: Mount): Promise<Response> {
    void this.#start();
    return this.#rooms.fetch(request, mount);
  }

  async #dispatch(request: Request, worker?: string): Promise<Response> {
    void this.#start();
    const { workers, clock } = this.#rooms;
    const call = { id: crypto.randomUUID(), request, url: new URL(request.url), arrivedAtMs: clock.nowMs(), worker };
    const { response, error } = await workers.run(call);
    if (error?.code === "function_error") throw error.cause;
    return response;
  }

  #start(): Promise<void> {
    const { pool, poolListener, workers, state } = this.#rooms;
    this.#started ??= Promise.all([pool.start(watched(poolListener, state)), workers.start()]).then(() => {});
    // Whoever waits for it learns of its failure; nobody has to wait.
    this.#started.catch(() => {});
    return this.#started;
  }

  async #end(): Promise<void> {
    const { invoker, pool, dispatcher, workers, log, state } = this.#rooms;
    state.isDraining = true;
    // First, and before anything is awaited: whoever exits right after this call leaves no worker.
    const stopped = pool.stop(0);
    invoker.abortAll();
    await Promise.all([stopped, dispatcher.drain(0), workers.close(), this.#sockets.close()]);
    await log.close();
  }
}

function elapsed(clock: Clock, atMs: number): Promise<void> {
  return new Promise((resolve) => clock.setTimer(atMs, resolve));
}
