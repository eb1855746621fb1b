import { parentPort, workerData } from "node:worker_threads";
import { cutFromHead } from "../../runtime/scheduler/batch-policy.ts";
import { createScheduler } from "../../runtime/scheduler/scheduler.ts";
import { runSeed } from "./world.ts";

const { first, seeds } = workerData as { readonly first: number; readonly seeds: number };
const seen = new Map<string, number>();
for (let seed = first; seed < first + seeds; seed += 1) {
  for (const [what, times] of runSeed(seed, { createScheduler, cutFromHead })) {
    seen.set(what, (seen.get(what) ?? 0) + times);
  }
}
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
parentPort?.postMessage(seen);
