/** A host to be killed: starts the local pool that its argument describes (`PoolHostPlan` as JSON) and prints what happens, a JSON line each. */
import { systemClock } from "../../runtime/clock.ts";
import { createLocalPool, type LocalPoolOptions } from "../../runtime/pool/local-pool.ts";
import type { BatchRequest } from "../../runtime/pool/worker-pool.ts";

export interface PoolHostPlan {
  readonly pool: Omit<LocalPoolOptions, "clock" | "random" | "log">;
  /** What each worker runs as soon as it is ready. */
  readonly batch?: BatchRequest;
}

/** The workers are ready and, where there is a batch, have it. */
export interface PoolHostReport {
  readonly pids: readonly number[];
}

const plan: PoolHostPlan = JSON.parse(process.argv[2] ?? "");
const pool = createLocalPool({
  ...plan.pool,
  clock: systemClock,
  random: Math.random,
  log(event) {
    if (event.type === "worker_lost") process.stderr.write(`${event.workerId} ${event.message}\n`);
  },
});
let readyWorkers = 0;
// The pool alone would not keep a process alive for ever.
setInterval(() => {}, 60_000);
await pool.start({
  workerReady({ id }) {
    if (plan.batch !== undefined) pool.run(id, plan.batch).catch(() => {});
    readyWorkers++;
    if (readyWorkers < plan.pool.workers) return;
    const report: PoolHostReport = { pids: pool.status().workers.flatMap(({ pid }) => pid ?? []) };
    process.stdout.write(`${JSON.stringify(report)}\n`);
  },
  workerLost() {},
});
