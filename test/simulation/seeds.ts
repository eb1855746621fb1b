import { Worker } from "node:worker_threads";

/** How often each thing happened in the worlds of `seeds` seeds from `first`, over so many threads; rejects with the first law that did not hold. */
export async function runSeedsInThreads(first: number, seeds: number, threads: number): Promise<Map<string, number>> {
  const share = Math.ceil(seeds / threads);
  const runs = Array.from({ length: threads }, (_, at) => {
    const from = first + at * share;
    return runInThread(from, Math.min(share, first + seeds - from));
  });
  const seen = new Map<string, number>();
  for (const counts of await Promise.all(runs)) {
    for (const [what, times] of counts) seen.set(what, (seen.get(what) ?? 0) + times);
  }
  return seen;
}

function runInThread(first: number, seeds: number): Promise<ReadonlyMap<string, number>> {
  const thread = new Worker(new URL("seeds-thread.ts", import.meta.url), { workerData: { first, seeds } });
  return new Promise((resolve, reject) => {
    thread.once("message", resolve);
    thread.once("error", reject);
  });
}
