import cluster from "node:cluster";
import path from "node:path";
import { Worker } from "node:worker_threads";

const BEAT_MS = 500;
/** Beside this file, built or not. */
const THREAD = path.join(import.meta.dirname, `loop-watchdog-thread${path.extname(import.meta.filename)}`);

/**
 * Tells on stderr where this process hangs, when it answers nothing for 5 s: most likely in a loop of a function.
 *
 * A thread of its own watches, and asks V8's debugger for the place. The loop itself cannot be ended from outside; the process is, where
 * the one above it has gone.
 */
export function watchLoop(): void {
  const beats = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  setInterval(() => Atomics.add(beats, 0, 1), BEAT_MS).unref();
  const thread = new Worker(THREAD, { workerData: { beats, isSupervised: cluster.isWorker } });
  thread.unref();
  // Without it the host serves as well.
  thread.on("error", () => {});
}
