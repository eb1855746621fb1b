import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { packageRoot } from "../../runtime/config/installation.ts";
import { workerEnvironment } from "../../runtime/pool/worker-command.ts";
import { findRealWorker } from "../doubles/real-worker.ts";

/** Texts a second without a host: the same code as in a worker, one process per worker at the same time, batches of `batch`. */
export interface RawFigure {
  readonly batch: number;
  readonly textsPerSecond: number;
}

/** Runs `workers` processes side by side on the same texts; their figures are added up. */
export async function measureRaw(options: {
  readonly texts: readonly string[];
  readonly batches: readonly number[];
  readonly workers: number;
  readonly seconds: number;
}): Promise<readonly RawFigure[]> {
  const { texts, batches, workers, seconds } = options;
  const runs = await Promise.all(Array.from({ length: workers }, () => runProcess({ texts, batches, seconds })));
  return batches.map((batch, at) => ({
    batch,
    textsPerSecond: runs.reduce((sum, figures) => sum + (figures[at]?.textsPerS ?? 0), 0),
  }));
}

interface ProcessFigure {
  readonly textsPerS: number;
}

async function runProcess(options: {
  readonly texts: readonly string[];
  readonly batches: readonly number[];
  readonly seconds: number;
}): Promise<readonly ProcessFigure[]> {
  const { command, modelFolder, blasPath } = findRealWorker();
  const flags = ["--model", modelFolder, "--seconds", String(options.seconds), "--batches", options.batches.join(",")];
  if (blasPath !== undefined) flags.push("--blas", blasPath);
  const child = spawn(command[0], ["-I", `${packageRoot}python/embed_worker/bench.py`, ...flags, "--texts", "-"], {
    stdio: ["pipe", "pipe", "inherit"],
    env: workerEnvironment(process.env, "auto", process.platform),
  });
  child.stdin.end(JSON.stringify(options.texts));
  const [output, [status]] = await Promise.all([text(child.stdout), once(child, "exit")]);
  if (status !== 0) throw new Error(`bench.py ended with status ${String(status)}`);
  return (JSON.parse(output) as { readonly figures: readonly ProcessFigure[] }).figures;
}
