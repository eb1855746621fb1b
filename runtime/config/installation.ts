import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import path from "node:path";
import type { PoolConfig, Config } from "./schema.ts";

/** Where the set-up (setup/) puts what is not in the repository. */
export interface Installation {
  readonly python: string;
  readonly blas: string;
  readonly modelsDir: string;
  /** What `embedge models pull` imports. */
  readonly hub: string;
}

/** What the automatic values of the pool depend on. */
export interface Machine {
  readonly cores: number;
  readonly platform: string;
  readonly arch: string;
}

/** The settings of the pool with every "auto" settled. */
export interface PoolSizing {
  readonly device: "cpu" | "gpu";
  readonly workers: number;
  readonly permits: number;
  readonly paddedTokensMax: number;
}

const WORKERS_ON_CPU_MAX = 4;
/** Bigger batches fall out of the core's cache and are slower; a GPU wants them. */
const PADDED_TOKENS_ON_CPU = 1_024;
const PADDED_TOKENS_ON_GPU = 16_384;

/** The folder of package.json, whatever the working directory is. */
export const packageRoot: string = fileURLToPath(new URL("../../", import.meta.url));

export const installation: Installation = {
  python: path.join(packageRoot, ".embedge/python/bin/python"),
  blas: path.join(packageRoot, ".embedge/blas/libcblas.so"),
  modelsDir: path.join(packageRoot, ".embedge/models"),
  hub: path.join(packageRoot, ".embedge/hub"),
};

/** Cores that this process may use, which containers and affinity masks limit. */
export function thisMachine(): Machine {
  return { cores: availableParallelism(), platform: process.platform, arch: process.arch };
}

/** Where pulled models are. */
export function modelsDirOf({ models: { dir } }: Pick<Config, "models">): string {
  return dir === "auto" ? installation.modelsDir : dir;
}

/** Settles "auto": one worker per core and 4 at most on CPU, one on a GPU; a worker without a permit would only hold memory. */
export function sizePool(config: Pick<Config, "pool" | "batch">, machine: Machine): PoolSizing {
  const device = settleDevice(config.pool, machine);
  const { permits } = config.pool;
  const automatic = device === "gpu" ? 1 : Math.min(machine.cores, WORKERS_ON_CPU_MAX);
  const workers = config.pool.workers === "auto" ? automatic : config.pool.workers;
  const paddedTokens = device === "gpu" ? PADDED_TOKENS_ON_GPU : PADDED_TOKENS_ON_CPU;
  const { paddedTokensMax } = config.batch;
  return {
    device,
    workers: Math.min(workers, permits),
    permits,
    paddedTokensMax: paddedTokensMax === "auto" ? paddedTokens : paddedTokensMax,
  };
}

function settleDevice(pool: PoolConfig, machine: Machine): "cpu" | "gpu" {
  if (pool.device !== "auto") return pool.device;
  return machine.platform === "darwin" && machine.arch === "arm64" ? "gpu" : "cpu";
}
