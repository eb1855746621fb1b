import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { createLocalPool, type LocalPoolOptions } from "../../runtime/pool/local-pool.ts";
import type { PoolEvent } from "../../runtime/pool/pool-events.ts";
import type { BatchRequest, ReadyWorker, WorkerPool } from "../../runtime/pool/worker-pool.ts";
import { FAKE_MODEL } from "./fake-answer.ts";
import type { FakeWorkerScript } from "./fake-python-worker.ts";
import { createCountingClock, createPoolRecorder, isRunning, type PoolRecorder } from "./pool-recorder.ts";
import { until, withTimeout } from "./wait.ts";

/** A local pool over fake workers, not started. */
export interface MadeFakePool {
  readonly pool: WorkerPool;
  readonly events: readonly PoolEvent[];
  /** Every process ever started, in order. */
  pids(): Promise<readonly number[]>;
  /** Call it after `stop`: throws if a process or a timer is left. */
  close(): Promise<void>;
}

/** The same, started; disposal stops and closes it. */
export interface FakePool extends MadeFakePool, AsyncDisposable {
  readonly recorder: PoolRecorder;
  readonly started: Promise<void>;
}

/** The same, with one worker that is ready. */
export interface FakeWorker extends FakePool {
  readonly worker: ReadyWorker;
  readonly pid: number;
}

/** A pool of one worker with two permits, if not told otherwise, whose workers follow `script`. */
export async function makeFakePool(
  script: FakeWorkerScript = {},
  options: Partial<LocalPoolOptions> = {},
): Promise<MadeFakePool> {
  const folder = await mkdtemp(join(tmpdir(), "fake-model-"));
  await writeFile(join(folder, "fake.json"), JSON.stringify(script));
  const events: PoolEvent[] = [];
  const clock = createCountingClock();
  const pool = createLocalPool({
    ...fakePoolSettings(folder),
    clock,
    random: () => 0,
    log: (event) => void events.push(event),
    ...options,
  });
  const pids = async (): Promise<readonly number[]> => {
    const starts = join(folder, "starts");
    return existsSync(starts) ? (await readFile(starts, "utf8")).trim().split("\n").map(Number) : [];
  };
  const close = async (): Promise<void> => {
    const left = (await pids()).filter(isRunning);
    await rm(folder, { recursive: true });
    if (left.length > 0) throw new Error(`worker processes left: ${left.join(", ")}`);
    clock.expectNoTimer();
  };
  return { pool, events, pids, close };
}

/** One worker with two permits; `folder` holds its script, `fake.json`. */
export function fakePoolSettings(folder: string): Omit<LocalPoolOptions, "clock" | "random" | "log"> {
  return {
    command: [process.execPath, join(import.meta.dirname, "fake-python-worker.ts")],
    modelFolder: folder,
    model: FAKE_MODEL,
    device: "cpu",
    budgetTokens: 512,
    workers: 1,
    permits: 2,
    pinning: false,
    memoryBytesMax: Number.MAX_SAFE_INTEGER,
    startTimeoutMs: 30_000,
    frameBytesMax: 1 << 26,
  };
}

/** Starts a pool and does not wait until it is ready. */
export async function startFakePool(
  script: FakeWorkerScript = {},
  options: Partial<LocalPoolOptions> = {},
): Promise<FakePool> {
  const made = await makeFakePool(script, options);
  const recorder = createPoolRecorder();
  const started = made.pool.start(recorder);
  // A test that stops the pool before it is ready need not look at this promise.
  started.catch(() => {});
  return {
    ...made,
    recorder,
    started,
    async [Symbol.asyncDispose]() {
      await withTimeout(made.pool.stop(0), "the pool to stop");
      await made.close();
    },
  };
}

/** Starts a pool and waits for its first worker. */
export async function startFakeWorker(
  script: FakeWorkerScript = {},
  options: Partial<LocalPoolOptions> = {},
): Promise<FakeWorker> {
  const fake = await startFakePool(script, options);
  try {
    const worker = await until("a worker is ready", () => fake.recorder.ready[0]);
    return { ...fake, worker, pid: pidOf(fake.pool, worker.id) };
  } catch (error) {
    await fake[Symbol.asyncDispose]();
    throw error;
  }
}

/** The process of a worker that has one. */
export function pidOf(pool: WorkerPool, workerId: string): number {
  const pid = pool.status().workers.find(({ id }) => id === workerId)?.pid;
  if (pid === undefined) throw new Error(`${workerId} has no process`);
  return pid;
}

/** A batch for a fake worker. */
export function fakeBatch(...texts: readonly string[]): BatchRequest {
  return { model: FAKE_MODEL, pooling: "default", normalize: true, texts };
}
