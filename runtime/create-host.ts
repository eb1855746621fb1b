import { existsSync } from "node:fs";
import path from "node:path";
import { type Clock, systemClock } from "./clock.ts";
import { installation, modelsDirOf, packageRoot, sizePool, thisMachine } from "./config/installation.ts";
import { findModelFolder, type ModelFolder } from "./config/model-folder.ts";
import type { Config } from "./config/schema.ts";
import { createDispatcher, type Dispatcher } from "./embedder/dispatcher.ts";
import { createEmbedder } from "./embedder/embedder.ts";
import { createModelNames } from "./embedder/model-names.ts";
import { createApp } from "./http/app.ts";
import { readinessOf } from "./http/readiness.ts";
import { createLog, type Log } from "./observe/log.ts";
import { createMetrics, type Metrics } from "./observe/metrics.ts";
import { logPoolEvent } from "./observe/pool-log.ts";
import { describeFailure, logRequest } from "./observe/request-log.ts";
import { ComposedHost, type Host, HostState } from "./host.ts";
import { createLocalPool } from "./pool/local-pool.ts";
import type { WorkerPool } from "./pool/worker-pool.ts";
import { loadFunctions } from "./routing/functions-folder.ts";
import { createInvoker } from "./routing/invocation.ts";
import { createRouteTable } from "./routing/route-table.ts";
import { cutFromHead } from "./scheduler/batch-policy.ts";
import { createScheduler } from "./scheduler/scheduler.ts";

/** Replacements for tests. */
export interface HostParts {
  readonly clock?: Clock;
  /** From [0, 1). */
  readonly random?: () => number;
  /** Stands in for the local pool, or around it. */
  readonly wrapPool?: (pool: WorkerPool) => WorkerPool;
}

/** How often an input may be in a batch that fails before it is given up though no text was found guilty. */
const ATTEMPTS_MAX = 8;
/** Padded tokens of one forward pass: on a CPU larger ones fall out of the core's cache. */
const MICRO_BATCH_TOKENS = { cpu: 512, gpu: 16_384 };
/** "auto": where every worker gets a core of its own. */
const pinnings = { auto: undefined, on: true, off: false };
const FUNCTION_LOAD_TIMEOUT_MS = 10_000;
const WAIT_UNTIL_MS = 30_000;
/** JSON writes a control character in six bytes. */
const JSON_BYTES_PER_BYTE = 6;

/** Puts all rooms together. No worker runs and no port is open before `ready`, `listen`, `fetch` or `embed`. */
export async function createHost(config: Config, parts: HostParts = {}): Promise<Host> {
  const { clock = systemClock, random = Math.random, wrapPool = (pool: WorkerPool) => pool } = parts;
  const model = findModelFolder(config.models.default, modelsDirOf(config));
  const routes = await loadFunctions({
    folder: path.resolve(config.functions.dir),
    clock,
    loadTimeoutMs: FUNCTION_LOAD_TIMEOUT_MS,
  });
  const log = createLog(config.log);
  const state = new HostState();
  const metrics = createMetrics({
    queueInputs: () => dispatcher.snapshot().queueInputs,
    readyWorkers: () => state.readyWorkers.size,
  });
  const pool = wrapPool(buildPool(config, { model, clock, random, log, metrics }));
  const dispatcher = buildDispatcher(config, { pool, clock, random, metrics });
  const embedder = createEmbedder({
    dispatcher,
    names: createModelNames(model.name, {
      ...Object.fromEntries(model.aliases.map((alias) => [alias, model.name])),
      ...config.models.aliases,
    }),
    served: { name: model.name, info: () => state.model },
    limits: { callInputsMax: config.queue.inputsMax, textBytesMax: config.limits.textBytesMax },
  });
  const invoker = createInvoker({
    embedder,
    clock,
    vars: config.vars,
    limits: config.limits,
    requestTimeoutMs: config.server.requestTimeoutMs,
    requestTimeoutMsMax: config.server.requestTimeoutMsMax,
    waitUntilMs: WAIT_UNTIL_MS,
    onBackgroundFailure: (id, cause) => log.logger.error({ id, stack: describeFailure(cause) }, "waitUntil failed"),
  });
  const app = createApp({
    ...config.server,
    allowedHosts: [...config.server.allowedHosts, config.server.host],
    routes: createRouteTable(routes),
    invoker,
    operations: { readiness: () => readinessOf(state.serving(pool.status())), metrics: () => metrics.read() },
    clock,
    onRequest: (record) => {
      if (record.error !== undefined) metrics.rejected(record.error.code);
      if (record.kind !== "operation") metrics.requestFinished(record);
      logRequest(log.logger, record);
    },
  });
  for (const { file, handler } of routes) {
    if (handler instanceof Error) log.logger.error({ file, problem: handler.message }, "function not loaded");
  }
  return new ComposedHost({ config, clock, log, state, pool, dispatcher, embedder, invoker, fetch: app.fetch });
}

interface PoolParts {
  readonly model: ModelFolder;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  readonly metrics: Metrics;
}

function buildPool(config: Config, { model, clock, random, log, metrics }: PoolParts): WorkerPool {
  const sizing = sizePool(config, thisMachine());
  const python = config.pool.python === "auto" ? installation.python : config.pool.python;
  return createLocalPool({
    command: [python, "-I", "-u", path.join(packageRoot, "python/embed_worker/__main__.py")],
    modelFolder: model.folder,
    model: model.name,
    device: config.pool.device,
    blasPath: settleBlas(config.pool.blas),
    budgetTokens: MICRO_BATCH_TOKENS[sizing.device],
    workers: sizing.workers,
    permits: sizing.permits,
    pinning: pinnings[config.pool.pin],
    startTimeoutMs: config.pool.startTimeoutMs,
    frameBytesMax: config.batch.inputsMax * config.limits.textBytesMax * JSON_BYTES_PER_BYTE,
    clock,
    random,
    log(event) {
      if (event.type === "worker_lost") metrics.workerLost(event.reason);
      logPoolEvent(log.logger, { ...event });
    },
  });
}

/** The library to load in front of MLX's own; on macOS there is none, and none is needed. */
function settleBlas(setting: string): string | undefined {
  if (setting === "none") return undefined;
  if (setting !== "auto") return setting;
  return existsSync(installation.blas) ? installation.blas : undefined;
}

interface DispatcherParts {
  readonly pool: WorkerPool;
  readonly clock: Clock;
  readonly random: () => number;
  readonly metrics: Metrics;
}

function buildDispatcher(config: Config, { pool, clock, random, metrics }: DispatcherParts): Dispatcher {
  const limits = {
    inputsMax: config.batch.inputsMax,
    paddedTokensMax: sizePool(config, thisMachine()).paddedTokensMax,
    queueInputsMax: config.queue.inputsMax,
    queueTokensMax: config.queue.tokensMax,
    batchTimeoutMs: config.pool.batchTimeoutMs,
    attemptsMax: ATTEMPTS_MAX,
  };
  return createDispatcher({
    scheduler: createScheduler(limits, cutFromHead, random),
    pool,
    clock,
    defer: setImmediate,
    observer: {
      permitWaited: (waitMs) => metrics.permitWaited(waitMs),
      batchEnded: ({ inputs, tookMs }) => metrics.batchFinished({ inputs, ms: tookMs }),
    },
  });
}
