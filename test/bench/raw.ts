import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { availableParallelism, cpus } from "node:os";
import { text } from "node:stream/consumers";
import { installation, packageRoot } from "../../runtime/config/installation.ts";
import { workerEnvironment } from "../../runtime/pool/worker-command.ts";
import { findRealWorker } from "../doubles/real-worker.ts";

/** What workers do without a host: the code of a worker, one process for each, all at the same time. */
export interface RawFigure {
  readonly batch: number;
  readonly workers: number;
  /** Of all workers together. */
  readonly textsPerSecond: number;
  readonly tokensPerSecond: number;
}

export interface RawWork {
  /** In their order, `batch` at a time, round and round, in each process. */
  readonly texts: readonly string[];
  readonly batch: number;
  readonly workers: number;
  readonly seconds: number;
  /** Computes every text as if it had so many tokens. */
  readonly padTo?: number;
  /** With the extra `fast`. Default: where it is installed, as a host does. */
  readonly isFast?: boolean;
}

export const isFastInstalled: boolean = existsSync(installation.fast);

/** Runs `workers` processes side by side on the same texts, pinned as a host pins them; their figures are added up. */
export async function measureRaw(work: RawWork): Promise<RawFigure> {
  const { batch, workers } = work;
  const isPinned = process.platform === "linux" && workers <= availableParallelism();
  const figures = await Promise.all(
    Array.from({ length: workers }, (_, core) =>
      runProcess(work, isPinned && availableParallelism() === cpus().length ? core : undefined),
    ),
  );
  return {
    batch,
    workers,
    textsPerSecond: figures.reduce((sum, { textsPerS }) => sum + textsPerS, 0),
    tokensPerSecond: figures.reduce((sum, { tokensPerS }) => sum + tokensPerS, 0),
  };
}

interface ProcessFigure {
  readonly textsPerS: number;
  readonly tokensPerS: number;
}

async function runProcess(work: RawWork, core: number | undefined): Promise<ProcessFigure> {
  const { texts, batch, seconds, padTo, isFast = isFastInstalled } = work;
  const { command, modelFolder, blasPath } = findRealWorker();
  const flags = ["--model", modelFolder, "--seconds", String(seconds), "--batches", String(batch), "--texts", "-"];
  if (blasPath !== undefined) flags.push("--blas", blasPath);
  if (core !== undefined) flags.push("--core", String(core));
  if (isFast) flags.push("--fast", installation.fast);
  if (padTo !== undefined) flags.push("--pad-to", String(padTo));
  const child = spawn(command[0], ["-I", `${packageRoot}python/embed_worker/bench.py`, ...flags], {
    stdio: ["pipe", "pipe", "inherit"],
    env: workerEnvironment(process.env, "auto", process.platform),
  });
  child.stdin.end(JSON.stringify(texts));
  const [output, [status]] = await Promise.all([text(child.stdout), once(child, "exit")]);
  if (status !== 0) throw new Error(`bench.py ended with status ${String(status)}`);
  const { figures } = JSON.parse(output) as { readonly figures: readonly ProcessFigure[] };
  return figures[0] ?? { textsPerS: Number.NaN, tokensPerS: Number.NaN };
}
