import path from "node:path";
import { pathToFileURL } from "node:url";
import { installation, isClone, packageRoot } from "./config/installation.ts";
import { ConfigError } from "./config/problems.ts";
import type { Config } from "./config/schema.ts";

/** Where progress is told: a terminal gets a line that moves. */
export interface ProgressOutput {
  readonly isTTY: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

/** "workers" is what the Python processes run on, "hub" what pulls models. */
export type SetupLevel = "workers" | "hub";

/** What is installed only when it is asked for: "fast" computes faster on a CPU, "cuda" on an NVIDIA GPU. */
export type SetupExtra = "fast" | "cuda";

/** The part of setup/ that is used here; it is JavaScript, since it has to run where nothing is set up yet. */
interface SetupModules {
  readonly setUp: (options: {
    readonly root: string;
    readonly state: string;
    readonly models: string;
    readonly level: SetupLevel;
    readonly extras: readonly SetupExtra[];
    readonly progress: object;
    readonly signal: AbortSignal;
  }) => Promise<void>;
  readonly createProgress: (out: ProgressOutput) => { end(): void };
  readonly toSetupError: (error: unknown) => {
    readonly message: string;
    readonly mend: string;
    readonly output: readonly string[];
    readonly exitCode: number;
  };
}

/** Whether these settings use what the set-up makes. A clone is set up by its npm scripts. */
export function needsSetUp({ pool, models }: Config): boolean {
  return !isClone && (pool.python === "auto" || !path.isAbsolute(models.default));
}

/**
 * Puts in place what is missing of the Python environment and the default model, in this user's cache folder.
 *
 * Takes a minute the first time, milliseconds later. Throws a ConfigError that says what is wrong and what mends it; after
 * an abort it throws the signal's reason, and the same call goes on from there.
 */
export async function setUpWorkers(
  out: ProgressOutput,
  signal: AbortSignal,
  { level = "workers", extras = [] }: { readonly level?: SetupLevel; readonly extras?: readonly SetupExtra[] } = {},
): Promise<void> {
  const { setUp, createProgress, toSetupError } = await loadSetup();
  const progress = createProgress(out);
  try {
    await setUp({
      root: packageRoot,
      state: installation.home,
      models: installation.modelsDir,
      level,
      extras,
      progress,
      signal,
    });
  } catch (error) {
    progress.end();
    signal.throwIfAborted();
    const { message, mend, output, exitCode } = toSetupError(error);
    throw new ConfigError([...output.map((line) => `  | ${line}`), `Set-up failed: ${message}`, mend], exitCode);
  }
}

async function loadSetup(): Promise<SetupModules> {
  const names = ["set-up.mjs", "progress.mjs", "errors.mjs"];
  const modules: object[] = await Promise.all(
    names.map((name) => import(pathToFileURL(path.join(packageRoot, "setup", name)).href)),
  );
  return Object.assign({}, ...modules) as SetupModules;
}
