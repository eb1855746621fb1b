import { createLocalPool, type LocalPoolOptions } from "../../runtime/pool/local-pool.ts";
import type { WorkerPool } from "../../runtime/pool/worker-pool.ts";
import { createCountingClock, isRunning } from "./pool-recorder.ts";
import { findRealWorker } from "./real-worker.ts";
import { withTimeout } from "./wait.ts";

/** A local pool over Python with the real model, not started. */
export interface RealPool extends AsyncDisposable {
  readonly pool: WorkerPool;
  /** Call it after `stop`: throws if a process or a timer is left. */
  close(): Promise<void>;
}

/** One worker with two permits, on any core. */
export function realPoolSettings(): Omit<LocalPoolOptions, "clock" | "random" | "log"> {
  return {
    ...findRealWorker(),
    device: "auto",
    budgetTokens: 512,
    workers: 1,
    permits: 2,
    pinning: false,
    memoryBytesMax: Number.MAX_SAFE_INTEGER,
    startTimeoutMs: 60_000,
    frameBytesMax: 1 << 26,
  };
}

export function makeRealPool(options: Partial<LocalPoolOptions> = {}): RealPool {
  const clock = createCountingClock();
  const pids: number[] = [];
  const pool = createLocalPool({
    ...realPoolSettings(),
    clock,
    random: Math.random,
    log(event) {
      if (event.type === "worker_started" && event.pid !== undefined) pids.push(event.pid);
    },
    ...options,
  });
  const close = async (): Promise<void> => {
    const left = pids.filter(isRunning);
    if (left.length > 0) throw new Error(`worker processes left: ${left.join(", ")}`);
    clock.expectNoTimer();
  };
  return {
    pool,
    close,
    async [Symbol.asyncDispose]() {
      await withTimeout(pool.stop(0), "the pool to stop");
      await close();
    },
  };
}
