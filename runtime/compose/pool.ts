import { existsSync } from "node:fs";
import path from "node:path";
import type { Clock } from "../clock.ts";
import {
  fastFolderOf,
  installation,
  machineMemoryBytes,
  packageRoot,
  PASS_TOKENS,
  type PoolSizing,
  pythonOf,
} from "../config/installation.ts";
import type { ModelFolder } from "../config/model-folder.ts";
import { estimateWorkerBytes, memoryBytesMaxOf } from "../config/model-memory.ts";
import type { Config } from "../config/schema.ts";
import type { ServedModels } from "../config/served-models.ts";
import { createDispatcher, type Dispatcher } from "../embedder/dispatcher.ts";
import type { Log } from "../observe/log.ts";
import type { Metrics } from "../observe/metrics.ts";
import { logPoolEvent } from "../observe/pool-log.ts";
import { createLocalPool, type LocalPoolOptions } from "../pool/local-pool.ts";
import { createModelPool, type ModelPool } from "../pool/model-pool.ts";
import type { WorkerPool } from "../pool/worker-pool.ts";
import { cutFromHead } from "../scheduler/batch-policy.ts";
import { createScheduler } from "../scheduler/scheduler.ts";

/** How often an input may be in a batch that fails before it is given up though no text was found guilty. */
const ATTEMPTS_MAX = 8;
/** Of the machine's memory that all workers together may hold. */
const MEMORY_SHARE = 0.8;
/** "auto": where every worker gets a core of its own. */
const pinnings = { auto: undefined, on: true, off: false };
/** JSON writes a control character in six bytes. */
const JSON_BYTES_PER_BYTE = 6;

export interface PoolParts {
  readonly sizing: PoolSizing;
  readonly models: ServedModels["models"];
  /** Around the workers of each model. */
  readonly wrapPool: (pool: WorkerPool) => WorkerPool;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** The Python workers of all models, none of them started. */
export function buildPool(config: Config, parts: PoolParts): ModelPool {
  const { models, wrapPool, log, metrics } = parts;
  const [first] = models;
  const folders = new Map(models.map((model) => [model.name, model]));
  return createModelPool({
    first: first.name,
    createPool(name, hooks) {
      const options = workersOf(config, parts, folders.get(name) ?? first);
      // Two models would be tied to the same cores; the kernel finds those that are idle.
      const pinning = name === first.name ? options.pinning : (options.pinning ?? false);
      return wrapPool(createLocalPool({ ...options, pinning, ...hooks }));
    },
    log(event) {
      if (event.type !== "model_loading") metrics.modelMoved(event.model, event.type.slice("model_".length));
      logPoolEvent(log.logger, { ...event });
    },
  });
}

/** The workers of one model. */
function workersOf(config: Config, parts: PoolParts, model: ModelFolder): LocalPoolOptions {
  const { sizing, clock, random, log, metrics } = parts;
  return {
    command: [pythonOf(config.pool), "-I", "-u", path.join(packageRoot, "python/embed_worker/__main__.py")],
    modelFolder: model.folder,
    model: model.name,
    device: config.pool.device,
    blasPath: settleBlas(config.pool.blas),
    fastFolder: fastFolderOf(config.pool),
    // Loading it takes seconds and gigabytes, so only who asks for a GPU gets it.
    cudaFolder: config.pool.device === "gpu" && existsSync(installation.cuda) ? installation.cuda : undefined,
    budgetTokens: PASS_TOKENS[sizing.device],
    workers: sizing.workers,
    spares: config.pool.spares,
    permits: sizing.permits,
    pinning: pinnings[config.pool.pin],
    memoryBytesMax: settleMemory(config.pool.workerMemoryBytesMax, sizing.workers),
    startTimeoutMs: config.pool.startTimeoutMs,
    frameBytesMax: config.batch.inputsMax * config.limits.textBytesMax * JSON_BYTES_PER_BYTE,
    clock,
    random,
    log(event) {
      if (event.type === "worker_lost") metrics.workerLost(event.reason);
      logPoolEvent(log.logger, { ...event });
    },
  };
}

/** The library to load in front of MLX's own; on macOS there is none, and none is needed. */
function settleBlas(setting: string): string | undefined {
  if (setting === "none") return undefined;
  if (setting !== "auto") return setting;
  return existsSync(installation.blas) ? installation.blas : undefined;
}

/** The share of one worker. */
function settleMemory(setting: number | "auto", workers: number): number {
  if (setting !== "auto") return setting;
  return (machineMemoryBytes() * MEMORY_SHARE) / workers;
}

export interface DispatcherParts {
  readonly sizing: PoolSizing;
  readonly models: ServedModels["models"];
  readonly pool: ModelPool;
  readonly clock: Clock;
  readonly random: () => number;
  readonly metrics: Metrics;
}

/** The queue and the permits in front of them. */
export function buildDispatcher(config: Config, parts: DispatcherParts): Dispatcher {
  const { sizing, models, pool, clock, random, metrics } = parts;
  const limits = {
    inputsMax: config.batch.inputsMax,
    tokensMax: sizing.tokensMax,
    paddedTokensMax: sizing.paddedTokensMax,
    batchTargetMs: config.batch.targetMs,
    lookAheadInputsMax: config.batch.lookAheadInputsMax,
    // Asked for at each use, since they may change while the host runs.
    get queueInputsMax() {
      return config.queue.inputsMax;
    },
    get queueTokensMax() {
      return config.queue.tokensMax;
    },
    get flightsMax() {
      return config.pool.permits;
    },
    batchTimeoutMs: config.pool.batchTimeoutMs,
    attemptsMax: ATTEMPTS_MAX,
    models: {
      memoryBytesMax: memoryBytesMaxOf(config),
      bytes: new Map(
        models.map((model) => [model.name, sizing.workers * estimateWorkerBytes(model, sizing.device)] as const),
      ),
      first: models[0].name,
      workers: sizing.workers,
    },
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
