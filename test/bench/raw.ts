import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { packageRoot } from "../../runtime/config/installation.ts";
import { workerEnvironment } from "../../runtime/pool/worker-command.ts";
import { findRealWorker } from "../doubles/real-worker.ts";

/** Texts a second without a host: the same code as in a worker, one process per worker at the same time, batches of `batch`. */
export interface RawFigure {
  readonly batch: number;
  readonly workers: number;
  readonly textsPerSecond: number;
}

/** Runs `workers` processes side by side on the same texts; their figures are added up. */
export async function measureRaw(options: {
  readonly texts: readonly string[];
  readonly batch: number;
  readonly workers: number;
  readonly seconds: number;
}): Promise<RawFigure> {
  const { texts, batch, workers, seconds } = options;
  const rates = await Promise.all(Array.from({ length: workers }, () => runProcess(texts, batch, seconds)));
  return { batch, workers, textsPerSecond: rates.reduce((sum, rate) => sum + rate, 0) };
}

/** Texts a second of one process. */
async function runProcess(texts: readonly string[], batch: number, seconds: number): Promise<number> {
  const { command, modelFolder, blasPath } = findRealWorker();
  const flags = ["--model", modelFolder, "--seconds", String(seconds), "--batches", String(batch), "--texts", "-"];
  if (blasPath !== undefined) flags.push("--blas", blasPath);
  const child = spawn(command[0], ["-I", `${packageRoot}python/embed_worker/bench.py`, ...flags], {
    stdio: ["pipe", "pipe", "inherit"],
    env: workerEnvironment(process.env, "auto", process.platform),
  });
  child.stdin.end(JSON.stringify(texts));
  const [output, [status]] = await Promise.all([text(child.stdout), once(child, "exit")]);
  if (status !== 0) throw new Error(`bench.py ended with status ${String(status)}`);
  const { figures } = JSON.parse(output) as { readonly figures: readonly { readonly textsPerS: number }[] };
  return figures[0]?.textsPerS ?? Number.NaN;
}
