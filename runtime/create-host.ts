import { existsSync } from "node:fs";
import path from "node:path";
import type { Env } from "../functions/_types.ts";
import { type Clock, systemClock } from "./clock.ts";
import {
  installation,
  modelsDirOf,
  packageRoot,
  type PoolSizing,
  sizePool,
  thisMachine,
} from "./config/installation.ts";
import { findModelFolder, type ModelFolder } from "./config/model-folder.ts";
import { settleSettings } from "./config/load.ts";
import { readProject } from "./config/project.ts";
import type { Config, Settings } from "./config/schema.ts";
import { createDispatcher, type Dispatcher } from "./embedder/dispatcher.ts";
import { createEmbedder, type Embedder } from "./embedder/embedder.ts";
import { createModelNames } from "./embedder/model-names.ts";
import { createAiUpstream } from "./http/ai-upstream.ts";
import { createApp } from "./http/app.ts";
import { readinessOf } from "./http/readiness.ts";
import { createLog, type Log } from "./observe/log.ts";
import { createMetrics, type Metrics } from "./observe/metrics.ts";
import { logPoolEvent } from "./observe/pool-log.ts";
import { describeFailure, logRequest, logRun } from "./observe/request-log.ts";
import { ComposedHost, type Host, HostState } from "./host.ts";
import { createLocalPool } from "./pool/local-pool.ts";
import type { WorkerPool } from "./pool/worker-pool.ts";
import { type AiScope, bindAi, embedForAi } from "./routing/ai-binding.ts";
import type { FunctionRunner } from "./routing/function-runner.ts";
import { createInvoker, type Invoker } from "./routing/invocation.ts";
import {
  createWorkerSet,
  type HostedWorker,
  loadWorker,
  type WorkerOptions,
  type WorkerSet,
} from "./routing/worker-set.ts";
import { needsSetUp, setUpWorkers } from "./set-up.ts";
import { cutFromHead } from "./scheduler/batch-policy.ts";
import { createScheduler } from "./scheduler/scheduler.ts";

/** Replacements: `functions` for `embedge dev --miniflare`, `workers` for the Miniflare of embedge, the others for tests. */
export interface HostParts {
  /** Run in place of the functions and projects of the settings; at least one, and the first answers what no route claims. */
  readonly workers?: readonly WorkerOptions[];
  /** Runs the functions in place of this process. */
  readonly functions?: FunctionRunner;
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

/**
 * Puts all rooms together. No worker runs and no port is open before `ready`, `listen`, `fetch` or `embed`.
 * Of the installed package the first call on a machine fetches the Python packages and the default model, which takes a minute.
 *
 * `settings` are those of embedge.toml, checked in the same way; no file and no variable is read unless `configFile` names one.
 */
export async function createHost(settings: Settings = {}, parts: HostParts = {}): Promise<Host> {
  const config = settleSettings(settings, process.cwd());
  const log = createLog(config.log);
  try {
    if (needsSetUp(config)) await setUpLogged(log);
    return await composeHost(config, log, parts);
  } catch (error) {
    await log.close();
    throw error;
  }
}

async function composeHost(config: Config, log: Log, parts: HostParts): Promise<Host> {
  const { clock = systemClock, random = Math.random, wrapPool = (pool: WorkerPool) => pool } = parts;
  const model = findModelFolder(config.models.default, modelsDirOf(config));
  const state = new HostState();
  const metrics = createMetrics({
    queueInputs: () => dispatcher.snapshot().queueInputs,
    readyWorkers: () => state.readyWorkers.size,
  });
  const sizing = sizePool(config, thisMachine());
  const pool = wrapPool(buildPool(config, { sizing, model, clock, random, log, metrics }));
  const dispatcher = buildDispatcher(config, { sizing, pool, clock, random, metrics });
  const embedder = createEmbedder({
    dispatcher,
    names: createModelNames(model.name, {
      ...Object.fromEntries(model.aliases.map((alias) => [alias, model.name])),
      ...config.models.aliases,
    }),
    served: { name: model.name, info: () => state.model },
    limits: { callInputsMax: config.queue.inputsMax, textBytesMax: config.limits.textBytesMax },
  });
  const { invoker, workers, loadWorkers } = await buildWorkers(config, { parts, model, embedder, clock, log });
  const app = createApp({
    ...config.server,
    ownHosts: () => [config.server.host, ...workers.hostnames()],
    functions: workers,
    operations: {
      readiness: () => readinessOf({ ...state.serving(pool.status()), functionsProblem: workers.problem?.() }),
      metrics: () => metrics.read(),
    },
    clock,
    onRequest: (record) => {
      if (record.error !== undefined) metrics.rejected(record.error.code);
      if (record.kind !== "operation") metrics.requestFinished(record);
      logRequest(log.logger, record);
    },
  });
  return new ComposedHost({
    config,
    clock,
    log,
    state,
    pool,
    dispatcher,
    embedder,
    invoker,
    workers,
    replaceWorkers: async (options) => workers.replace(await loadWorkers(options)),
    reloadFunctions: async () => logProblems(log, await workers.reload()),
    fetch: (request, mount) => app.fetch(request, { mount }),
    upstream: buildUpstream(config, { embedder, clock, log, metrics }),
  });
}

interface WorkerParts {
  readonly parts: HostParts;
  readonly model: ModelFolder;
  readonly embedder: Embedder;
  readonly clock: Clock;
  readonly log: Log;
}

interface BuiltWorkers {
  readonly invoker: Invoker;
  readonly workers: WorkerSet;
  readonly loadWorkers: (options: readonly WorkerOptions[]) => Promise<readonly HostedWorker[]>;
}

async function buildWorkers(
  config: Config,
  { parts, model, embedder, clock, log }: WorkerParts,
): Promise<BuiltWorkers> {
  const { bodyBytesMax, requestTimeoutMs, requestTimeoutMsMax } = config.server;
  // EMBEDDING_MODEL is what functions/_texts.ts runs where a request names no model: a host without aliases serves too.
  const createEnv = (bindings: object, scope: AiScope): Env =>
    Object.freeze({ EMBEDDING_MODEL: model.name, ...bindings, AI: bindAi(embedder, scope, config.limits) });
  const createOwnEnv = (scope: AiScope): Env => createEnv(config.vars, scope);
  const invoker = createInvoker({
    clock,
    createEnv: createOwnEnv,
    requestTimeoutMs,
    requestTimeoutMsMax,
    waitUntilMs: WAIT_UNTIL_MS,
    onBackgroundFailure: (id, cause) => log.logger.error({ id, stack: describeFailure(cause) }, "waitUntil failed"),
  });
  const loader = { clock, loadTimeoutMs: FUNCTION_LOAD_TIMEOUT_MS, invoker, bodyBytesMax, createEnv };
  const loadWorkers: BuiltWorkers["loadWorkers"] = async (options) => {
    const loaded = await Promise.all(options.map((worker) => loadWorker(worker, loader)));
    for (const worker of loaded) logProblems(log, worker.problems());
    return loaded;
  };
  const { functions } = parts;
  const first =
    functions === undefined
      ? await loadWorkers(parts.workers ?? workersOf(config))
      : [emulatedWorker(functions, createOwnEnv)];
  return { invoker, workers: createWorkerSet(first), loadWorkers };
}

/** The functions, and the projects beside them. */
function workersOf({ functions, projects, vars }: Config): readonly WorkerOptions[] {
  const own = { name: "functions", functions: functions.dir, bindings: vars };
  return [own, ...Object.entries(projects).map(([name, folder]) => readProject(name, folder))];
}

/** The functions as one Worker that runs somewhere else. */
function emulatedWorker(runner: FunctionRunner, createEnv: HostedWorker["createEnv"]): HostedWorker {
  return { name: "functions", routes: [], runner, createEnv, problems: () => [], reload: async () => [] };
}

function logProblems(log: Log, problems: readonly string[]): void {
  for (const problem of problems) log.logger.error({ problem }, "function not loaded");
}

interface UpstreamParts {
  readonly embedder: Embedder;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** What `env.AI` inside workerd talks to. */
function buildUpstream(config: Config, parts: UpstreamParts): (request: Request) => Promise<Response> {
  const { embedder, clock, log, metrics } = parts;
  return createAiUpstream({
    embed: (run) => embedForAi(embedder, run, config.limits),
    models: () => embedder.models(),
    clock,
    requestTimeoutMs: config.server.requestTimeoutMsMax,
    bodyBytesMax: config.server.bodyBytesMax,
    onGateway: () =>
      log.logger.warn("a function asks for an AI Gateway: there is none here, its runs are served without"),
    onRun: (record) => {
      if (record.error !== undefined) metrics.rejected(record.error.code);
      logRun(log.logger, record);
    },
  });
}

/** The set-up inside somebody else's process: its progress is lines of the log. */
async function setUpLogged(log: Log): Promise<void> {
  const out = { isTTY: false, write: (text: string) => log.logger.info(text.trim()) };
  await setUpWorkers(out, new AbortController().signal);
}

interface PoolParts {
  readonly sizing: PoolSizing;
  readonly model: ModelFolder;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  readonly metrics: Metrics;
}

function buildPool(config: Config, { sizing, model, clock, random, log, metrics }: PoolParts): WorkerPool {
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
  readonly sizing: PoolSizing;
  readonly pool: WorkerPool;
  readonly clock: Clock;
  readonly random: () => number;
  readonly metrics: Metrics;
}

function buildDispatcher(config: Config, { sizing, pool, clock, random, metrics }: DispatcherParts): Dispatcher {
  const limits = {
    inputsMax: config.batch.inputsMax,
    paddedTokensMax: sizing.paddedTokensMax,
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
