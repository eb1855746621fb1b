import { existsSync, readFileSync } from "node:fs";
import { availableParallelism, homedir, totalmem } from "node:os";
import { fileURLToPath } from "node:url";
import path from "node:path";
import { findHome, findModelsDir, type HomeSources } from "./home.ts";
import type { PoolConfig } from "./pool-schema.ts";
import type { Config } from "./schema.ts";

/** Where the set-up (setup/) puts what comes neither with the repository nor with the package. */
export interface Installation {
  readonly home: string;
  readonly python: string;
  readonly blas: string;
  readonly modelsDir: string;
  /** The extras, where they were asked for. */
  readonly fast: string;
  readonly cuda: string;
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
  readonly tokensMax: number;
  readonly paddedTokensMax: number;
}

const WORKERS_ON_CPU_MAX = 4;
/** Padded tokens of one forward pass: on a CPU larger ones fall out of the core's cache. */
export const PASS_TOKENS: { readonly cpu: number; readonly gpu: number } = { cpu: 512, gpu: 16_384 };
/**
 * Bounds of one batch. On a CPU a batch is no more than one forward pass, 0.1 s: larger ones are no faster, and what comes
 * later would wait for them. A GPU wants more at once.
 */
const BATCH_TOKENS = {
  cpu: { tokensMax: PASS_TOKENS.cpu, paddedTokensMax: 8_192 },
  gpu: { tokensMax: PASS_TOKENS.gpu, paddedTokensMax: 16_384 },
};

/** Whether the sources run unbuilt, as in a clone, whose npm scripts set it up; else this is the built package. */
export const isClone: boolean = import.meta.url.endsWith(".ts");

/** The folder of package.json, whatever the working directory is; it ends in a separator. */
export const packageRoot: string = findPackageRoot();

const user: Omit<HomeSources, "lockText"> = { env: process.env, platform: process.platform, userHome: homedir() };

const home: string = isClone ? path.join(packageRoot, ".embedge") : findHome({ ...user, lockText: readLocks() });

export const installation: Installation = {
  home,
  python: path.join(home, "python/bin/python"),
  blas: path.join(home, "blas/libcblas.so"),
  modelsDir: isClone ? path.join(home, "models") : findModelsDir(user),
  fast: path.join(home, "fast"),
  cuda: path.join(home, "cuda"),
  hub: path.join(home, "hub"),
};

/** The functions that come with embedge. */
export const ownFunctionsDir: string = fileURLToPath(new URL("../../functions", import.meta.url));

export function packageVersion(): string {
  const { version } = JSON.parse(readFileSync(path.join(packageRoot, "package.json"), "utf8")) as { version: string };
  return version;
}

/** The sources are two folders below it, the built files three. */
function findPackageRoot(): string {
  const candidates = ["../../", "../../../"].map((up) => fileURLToPath(new URL(up, import.meta.url)));
  const found = candidates.find((folder) => existsSync(path.join(folder, "package.json")));
  if (found === undefined) throw new Error(`There is no package.json above ${import.meta.url}.`);
  return found;
}

/** What decides what the set-up installs. */
function readLocks(): string {
  const files = ["requirements.lock", "model.lock", "default_model.json", "prepare_blas.py"];
  return files.map((file) => readFileSync(path.join(packageRoot, "python", file), "utf8")).join("\0");
}

/** Cores that this process may use, which containers and affinity masks limit. */
export function thisMachine(): Machine {
  return { cores: availableParallelism(), platform: process.platform, arch: process.arch };
}

/** Memory that this process may use: the machine's, or less where a control group limits it. */
export function machineMemoryBytes(): number {
  // 0, or more than there is, where none does.
  const limitBytes = process.constrainedMemory();
  return limitBytes > 0 ? Math.min(limitBytes, totalmem()) : totalmem();
}

/** The Python of the workers. */
export function pythonOf({ python }: Pick<PoolConfig, "python">): string {
  return python === "auto" ? installation.python : python;
}

/** The packages of the extra `fast`; undefined where it is not installed or not wanted. */
export function fastFolderOf({ fast }: Pick<PoolConfig, "fast">): string | undefined {
  return fast === "auto" && existsSync(installation.fast) ? installation.fast : undefined;
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
  const { tokensMax, paddedTokensMax } = config.batch;
  return {
    device,
    workers: Math.min(workers, permits),
    permits,
    tokensMax: tokensMax === "auto" ? BATCH_TOKENS[device].tokensMax : tokensMax,
    paddedTokensMax: paddedTokensMax === "auto" ? BATCH_TOKENS[device].paddedTokensMax : paddedTokensMax,
  };
}

function settleDevice(pool: PoolConfig, machine: Machine): "cpu" | "gpu" {
  if (pool.device !== "auto") return pool.device;
  return machine.platform === "darwin" && machine.arch === "arm64" ? "gpu" : "cpu";
}
