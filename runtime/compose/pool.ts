import { existsSync } from "node:fs";
import path from "node:path";
import type { Clock } from "../clock.ts";
import { installation, packageRoot, type PoolSizing } from "../config/installation.ts";
import type { ModelFolder } from "../config/model-folder.ts";
import type { Config } from "../config/schema.ts";
import { createDispatcher, type Dispatcher } from "../embedder/dispatcher.ts";
import type { Log } from "../observe/log.ts";
import type { Metrics } from "../observe/metrics.ts";
import { logPoolEvent } from "../observe/pool-log.ts";
import { createLocalPool } from "../pool/local-pool.ts";
import type { WorkerPool } from "../pool/worker-pool.ts";
import { cutFromHead } from "../scheduler/batch-policy.ts";
import { createScheduler } from "../scheduler/scheduler.ts";

/** How often an input may be in a batch that fails before it is given up though no text was found guilty. */
const ATTEMPTS_MAX = 8;
/** Padded tokens of one forward pass: on a CPU larger ones fall out of the core's cache. */
const MICRO_BATCH_TOKENS = { cpu: 512, gpu: 16_384 };
/** "auto": where every worker gets a core of its own. */
const pinnings = { auto: undefined, on: true, off: false };
/** JSON writes a control character in six bytes. */
const JSON_BYTES_PER_BYTE = 6;

export interface PoolParts {
  readonly sizing: PoolSizing;
  readonly model: ModelFolder;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** The Python workers, none of them started. */
export function buildPool(config: Config, { sizing, model, clock, random, log, metrics }: PoolParts): WorkerPool {
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

export interface DispatcherParts {
  readonly sizing: PoolSizing;
  readonly pool: WorkerPool;
  readonly clock: Clock;
  readonly random: () => number;
  readonly metrics: Metrics;
}

/** The queue and the permits in front of them. */
export function buildDispatcher(config: Config, { sizing, pool, clock, random, metrics }: DispatcherParts): Dispatcher {
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
