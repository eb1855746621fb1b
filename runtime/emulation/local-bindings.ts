import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import type { MessageBatch } from "../../functions/_types.ts";
import type { LocalBindings } from "../routing/local-bindings.ts";
import { holdLifeline, type Lifeline } from "./lifeline.ts";
import { createMessageBatch, type SentMessage } from "./message-batch.ts";
import type { MiniflareWorkers, OptionsAnswer, OptionsQuestion } from "./options-child.ts";
import {
  BATCHES_BINDING,
  BATCHES_ENTRYPOINT,
  type BatchCall,
  type BatchOutcome,
  HOST_BINDING,
  QUEUE_WORKER,
} from "./queue-worker.ts";
import { importMiniflare, type Miniflare, type MiniflareModule } from "./wrangler.ts";

export interface LocalBindingsOptions extends OptionsQuestion {
  /** Handles a batch of a queue that is consumed; rejects where that fails. */
  readonly deliver: (batch: MessageBatch) => Promise<void>;
  /** Told what workerd and Miniflare have to say. */
  readonly log: (message: string) => void;
}

/**
 * Miniflare's local bindings of a wrangler configuration: no login, and no request leaves this machine. What they keep lies where
 * `wrangler dev` keeps it. Nothing starts before the first `get`; a workerd that dies is started again by Miniflare.
 */
export function openLocalBindings(options: LocalBindingsOptions): LocalBindings {
  let running: Promise<Running> | undefined;
  let isClosed = false;
  const start = (): Promise<Running> => {
    if (isClosed) return Promise.reject(new Error("The bindings are closed."));
    running ??= run(options).catch((error: unknown) => {
      // The next one who asks tries again.
      running = undefined;
      throw error;
    });
    return running;
  };
  return {
    async get() {
      const { miniflare } = await start();
      // Asked for anew each time: those of a workerd that has died since are dead too.
      const { [HOST_BINDING]: _, [BATCHES_BINDING]: __, ...bindings } = await miniflare.getBindings();
      return bindings;
    },
    async close() {
      isClosed = true;
      const opened = await running?.catch(() => undefined);
      await opened?.miniflare.dispose();
      await opened?.lifeline.close();
    },
  };
}

interface Running {
  readonly miniflare: Miniflare;
  readonly lifeline: Lifeline;
}

async function run(options: LocalBindingsOptions): Promise<Running> {
  const workers = await askWrangler(options);
  const module = await importMiniflare(options.configFile);
  return oneByOne(async () => {
    const deliver = (request: Request): Promise<BatchOutcome> => deliverBatch(request, miniflare, options);
    const all = toOptions(workers, module, { ...options, deliver });
    const miniflare = withoutSignals(() => new module.Miniflare(all));
    try {
      await miniflare.ready;
      return { miniflare, lifeline: await holdLifeline() };
    } catch (error) {
      await miniflare.dispose().catch(() => {});
      throw error;
    }
  });
}

/** Fetches the messages that the request tells of, and lets them be handled. */
async function deliverBatch(
  request: Request,
  miniflare: Miniflare,
  { deliver }: LocalBindingsOptions,
): Promise<BatchOutcome> {
  const { key, queue } = (await request.json()) as { readonly key: string; readonly queue: string };
  const { [BATCHES_BINDING]: batches } = await miniflare.getBindings();
  const sent = await (batches as { messages(key: string): Promise<readonly SentMessage[]> }).messages(key);
  const calls: BatchCall[] = [];
  const isHandled = await deliver(createMessageBatch(queue, sent, calls)).then(
    () => true,
    () => false,
  );
  return { isHandled, calls };
}

let starting: Promise<unknown> = Promise.resolve();

/** A lifeline takes the Miniflare that was started last. */
function oneByOne<T>(start: () => Promise<T>): Promise<T> {
  const started = starting.then(start);
  starting = started.catch(() => {});
  return started;
}

/** Where `wrangler dev` keeps what bindings hold, beside the configuration. */
const STATE = ".wrangler/state/v3";
const TEMPORARY = ".wrangler/tmp";

function toOptions(
  { name, worker, others, hasNeighbours }: MiniflareWorkers,
  module: MiniflareModule,
  { configFile, log, deliver }: ToOptions,
): object {
  const folder = path.dirname(configFile);
  const answer = async (request: Request): Promise<object> =>
    new module.Response(JSON.stringify(await deliver(request)));
  return module.convertV4MiniflareOptions({
    rootPath: folder,
    // Else it asks Cloudflare where we are.
    cf: false,
    resourcePersistencePath: path.join(folder, STATE),
    resourceTmpPath: path.join(folder, TEMPORARY),
    ...(hasNeighbours && {
      unsafeDevRegistryPath: process.env["WRANGLER_REGISTRY_PATH"] ?? module.getDefaultDevRegistryPath(),
    }),
    log: createLog(module, log),
    handleStructuredLogs: ({ message }: { readonly message: string }) => log(message),
    workers: [
      {
        ...worker,
        name,
        modules: true,
        script: QUEUE_WORKER,
        serviceBindings: {
          ...(worker["serviceBindings"] as object | undefined),
          [HOST_BINDING]: answer,
          [BATCHES_BINDING]: { name, entrypoint: BATCHES_ENTRYPOINT },
        },
      },
      ...others,
    ],
  });
}

interface ToOptions {
  readonly configFile: string;
  readonly log: (message: string) => void;
  readonly deliver: (request: Request) => Promise<BatchOutcome>;
}

function createLog({ Log, LogLevel }: MiniflareModule, log: (message: string) => void): object {
  return Object.assign(new Log(LogLevel.WARN), { log });
}

/** Miniflare ends the process at a signal, at once; that is for whoever owns the process. */
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP", "message"] as const;

function withoutSignals<T>(create: () => T): T {
  const before = new Set(SIGNALS.flatMap((name) => process.listeners(name as NodeJS.Signals)));
  const created = create();
  for (const name of SIGNALS) {
    for (const listener of process.listeners(name as NodeJS.Signals)) {
      if (!before.has(listener)) process.removeListener(name, listener);
    }
  }
  return created;
}

/** Beside this file, built or not. */
const CHILD = path.join(import.meta.dirname, `options-child${path.extname(import.meta.filename)}`);

async function askWrangler({ configFile, environment }: OptionsQuestion): Promise<MiniflareWorkers> {
  const child: ChildProcess = fork(CHILD, {
    cwd: path.dirname(configFile),
    execArgv: [],
    // What wrangler warns of goes where the log goes.
    stdio: ["ignore", 2, 2, "ipc"],
  });
  const ended = once(child, "exit");
  const question: OptionsQuestion = { configFile, environment };
  child.send(question);
  const answer = await Promise.race([
    once(child, "message").then(([message]) => message as OptionsAnswer),
    ended.then((): OptionsAnswer => ({ type: "failed", message: "wrangler ended before it had read it." })),
  ]);
  await ended;
  if (answer.type === "failed") throw new Error(`${configFile}: ${answer.message}`);
  return answer.options;
}
