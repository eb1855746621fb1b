/** What `import … from "embedge/miniflare"` gives. */
import type { Env } from "../functions/_types.ts";
import type { Settings } from "./config/schema.ts";
import { createHost } from "./create-host.ts";
import type { Host } from "./host.ts";
import type { WorkerOptions } from "./routing/hosted-worker.ts";

/** The options of one Worker, as Miniflare's flat ones; `functions` is a folder, an addition of embedge. */
export interface MiniflareWorkerOptions extends Omit<WorkerOptions, "name"> {
  readonly name?: string | undefined;
  /** Only modules run here. It may be said, as Miniflare wants it said; so may the two below, which mean nothing on Node. */
  readonly modules?: true | undefined;
  readonly compatibilityDate?: string | undefined;
  readonly compatibilityFlags?: readonly string[] | undefined;
}

export interface MiniflareOptions extends MiniflareWorkerOptions {
  /** Several Workers, in place of the one that these options describe. */
  readonly workers?: readonly MiniflareWorkerOptions[] | undefined;
  /** Default "127.0.0.1". */
  readonly host?: string | undefined;
  /** Default 0, a free one. */
  readonly port?: number | undefined;
  /** Addition of embedge: the model, the pool, the log. */
  readonly embedge?: Omit<Settings, "functions" | "projects"> | undefined;
}

/** `fetch` of a Worker, for what tests do with Miniflare's. */
export interface MiniflareFetcher {
  fetch(input: string | URL | Request, init?: RequestInit): Promise<Response>;
}

/**
 * A host of embedge with the everyday surface of Miniflare: a test written for Miniflare runs with another import.
 *
 * The Workers run in this process, on Node, over one pool behind `env.AI`; there is no workerd and none of its bindings.
 */
export class Miniflare {
  #options: MiniflareOptions;
  #host: Promise<Host>;
  #ready: Promise<URL>;
  #change: Promise<void> = Promise.resolve();
  #isDisposed = false;

  constructor(options: MiniflareOptions) {
    this.#options = options;
    this.#host = openHost(options);
    this.#ready = listen(this.#host, options);
    // Whoever waits for it learns of its failure.
    this.#ready.catch(() => {});
  }

  /** The address of its port, once it is open and every Worker is loaded. */
  get ready(): Promise<URL> {
    this.#assertUsable();
    return this.#change.then(() => this.#ready);
  }

  /** Asks the Worker that the URL's route belongs to, else the first. What it throws is 500, with the stack as text. */
  async dispatchFetch(input: string | URL | Request, init?: RequestInit): Promise<Response> {
    await this.ready;
    const host = await this.#host;
    const dispatch = (request: Request): Promise<Response> => host.dispatch(request).catch(toStackResponse);
    return fetchFrom(dispatch, new Request(input, init));
  }

  /** What a Worker finds in `env`; the first one's without a name. */
  async getBindings<E = Env>(workerName?: string): Promise<E> {
    await this.ready;
    return (await this.#host).worker(workerName).env as E;
  }

  /** One Worker, whatever its routes say; its `fetch` rejects with what it throws. Throws a TypeError where there is none of this name. */
  async getWorker(workerName?: string): Promise<MiniflareFetcher> {
    await this.ready;
    const worker = (await this.#host).worker(workerName);
    return { fetch: (input, init) => fetchFrom(worker.fetch, new Request(input, init)) };
  }

  /**
   * Other Workers. The pool and the port stay, and what runs ends where it began, unless `host`, `port` or `embedge` changed.
   * A file that was loaded before is not read again; a `script` always is.
   */
  setOptions(options: MiniflareOptions): Promise<void> {
    this.#assertUsable();
    this.#change = this.#change.then(() => this.#apply(options));
    const change = this.#change;
    // A change that fails leaves everything as it was: the next one starts from there.
    this.#change = change.catch(() => {});
    return change;
  }

  async dispose(): Promise<void> {
    this.#isDisposed = true;
    const host = await this.#host.catch(() => undefined);
    await host?.close();
  }

  async #apply(options: MiniflareOptions): Promise<void> {
    await this.#ready;
    const host = await this.#host;
    if (hostPart(options) === hostPart(this.#options)) {
      await host.replaceWorkers(workersOf(options));
    } else {
      const next = await openHost(options);
      await host.close();
      this.#host = Promise.resolve(next);
      this.#ready = listen(this.#host, options);
      await this.#ready;
    }
    this.#options = options;
  }

  #assertUsable(): void {
    if (this.#isDisposed) throw Object.assign(new Error("Cannot use disposed instance"), { code: "ERR_DISPOSED" });
  }
}

function openHost(options: MiniflareOptions): Promise<Host> {
  const { host = "127.0.0.1", port = 0, embedge } = options;
  const settings = { log: { level: "error" }, ...embedge, server: { ...embedge?.server, host, port } } as const;
  return createHost(settings, { workers: workersOf(options) });
}

async function listen(opening: Promise<Host>, { port }: MiniflareOptions): Promise<URL> {
  const host = await opening;
  try {
    return new URL((await host.listen()).url);
  } catch (error) {
    await host.close();
    throw error instanceof Error ? error : new Error(`Cannot listen on port ${port}`, { cause: error });
  }
}

/** What only another host can change. */
function hostPart({ host, port, embedge }: MiniflareOptions): string {
  return JSON.stringify([host, port, embedge]);
}

function workersOf(options: MiniflareOptions): readonly WorkerOptions[] {
  const { workers = [options] } = options;
  return workers.map((worker, index) => ({ ...worker, name: worker.name ?? `worker-${index}` }));
}

function toStackResponse(thrown: unknown): Response {
  const text = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
  return new Response(text, { status: 500 });
}

const REDIRECTS_MAX = 20;
const REDIRECTS: readonly number[] = [301, 302, 303, 307, 308];

/** Follows redirects as `fetch` does; one to another origin leads out of here, as in Miniflare. */
async function fetchFrom(dispatch: (request: Request) => Promise<Response>, asked: Request): Promise<Response> {
  const { headers, signal, redirect } = asked;
  let { method } = asked;
  let url = new URL(asked.url);
  let body = asked.body === null ? undefined : await asked.arrayBuffer();
  for (let count = 0; count <= REDIRECTS_MAX; count++) {
    const request = new Request(url, { method, headers, signal, ...(body !== undefined && { body }) });
    const isAway = url.origin !== new URL(asked.url).origin;
    const response = isAway ? await fetch(request) : await dispatch(request);
    const location = response.headers.get("location");
    if (isAway || redirect !== "follow" || location === null || !REDIRECTS.includes(response.status)) return response;
    await response.body?.cancel();
    url = new URL(location, url);
    if (response.status >= 307 || method === "HEAD") continue;
    method = "GET";
    body = undefined;
  }
  throw new TypeError("fetch failed", { cause: new Error("redirect count exceeded") });
}
