import type { WorkerId } from "./events.ts";

/** A ready worker and the permits it brought. */
export interface Worker {
  readonly id: WorkerId;
  permits: number;
  /** Permits in use: batches it holds. More than there are, for a while, where there are fewer than before. */
  taken: number;
  /** It runs suspects, and nothing may share their fate. */
  isolated: boolean;
  /** Order of the last release; the smallest has been idle longest. */
  released: number;
}

/** The permits of the ready workers. A permit exists only while its worker does. */
export class Permits {
  readonly #workers = new Map<WorkerId, Worker>();
  #releases = 0;

  get workers(): number {
    return this.#workers.size;
  }

  get idleWorkers(): number {
    let idle = 0;
    for (const { taken, permits } of this.#workers.values()) if (taken === 0 && permits > 0) idle += 1;
    return idle;
  }

  get free(): number {
    let free = 0;
    for (const worker of this.#workers.values()) free += Math.max(0, worker.permits - worker.taken);
    return free;
  }

  /** Adds a worker's permits; a worker that is there already keeps those it has. */
  workerReady(id: WorkerId, permits: number): void {
    if (this.#workers.has(id)) return;
    this.#workers.set(id, { id, permits, taken: 0, isolated: false, released: this.#releases++ });
  }

  /** Gives the worker another number of permits; those in use over it are paid back before any is handed out again. */
  change(id: WorkerId, permits: number): void {
    const worker = this.#workers.get(id);
    if (worker !== undefined) worker.permits = permits;
  }

  /** Takes the worker's permits away, free and taken alike. */
  workerLost(id: WorkerId): void {
    this.#workers.delete(id);
  }

  /** The worker with a free permit that should have the next batch: fewest batches, then longest idle. */
  next(): Worker | undefined {
    let best: Worker | undefined;
    for (const worker of this.#workers.values()) {
      if (worker.taken >= worker.permits || worker.isolated) continue;
      const better =
        best === undefined ||
        worker.taken < best.taken ||
        (worker.taken === best.taken && worker.released < best.released);
      if (better) best = worker;
    }
    return best;
  }

  /** Uses one free permit of the worker. */
  take(worker: Worker): void {
    worker.taken += 1;
  }

  /** Frees one permit. Of a worker that is gone there is nothing to free. */
  release(id: WorkerId): void {
    const worker = this.#workers.get(id);
    if (worker === undefined) return;
    worker.taken -= 1;
    worker.isolated = false;
    worker.released = this.#releases++;
  }
}
