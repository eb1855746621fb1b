import type { WorkerId } from "./events.ts";

/** A ready worker and the permits it brought. */
export interface Worker {
  readonly id: WorkerId;
  readonly model: string;
  permits: number;
  /** Permits in use: batches it holds. More than there are, for a while, where there are fewer than before. */
  taken: number;
  /** It runs suspects, and nothing may share their fate. */
  isolated: boolean;
  /** Order of the last start or end of a batch. Below 0 before the first, in the order in which they joined. */
  touched: number;
}

/** The permits of the ready workers. A permit exists only while its worker does. */
export class Permits {
  readonly #workers = new Map<WorkerId, Worker>();
  #touches = 0;
  #joined = 0;

  get workers(): number {
    return this.#workers.size;
  }

  workersOf(model: string): number {
    let count = 0;
    for (const worker of this.#workers.values()) if (worker.model === model) count += 1;
    return count;
  }

  idleWorkersOf(model: string): number {
    let idle = 0;
    for (const worker of this.#workers.values()) {
      if (worker.model === model && worker.taken === 0 && worker.permits > 0) idle += 1;
    }
    return idle;
  }

  /** Whether a batch runs on one of the model's workers. */
  areTaken(model: string): boolean {
    for (const worker of this.#workers.values()) if (worker.model === model && worker.taken > 0) return true;
    return false;
  }

  get free(): number {
    let free = 0;
    for (const worker of this.#workers.values()) free += Math.max(0, worker.permits - worker.taken);
    return free;
  }

  /** Adds a worker's permits; a worker that is there already keeps those it has. */
  workerReady(id: WorkerId, permits: number, model = ""): void {
    if (this.#workers.has(id)) return;
    this.#workers.set(id, { id, model, permits, taken: 0, isolated: false, touched: -++this.#joined });
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

  /** Takes the permits of all its workers away. */
  modelLost(model: string): void {
    for (const worker of this.#workers.values()) if (worker.model === model) this.#workers.delete(worker.id);
  }

  /**
   * The worker with a free permit that should have the next batch, among those of the models asked for: the one with
   * the fewest batches. Among idle ones the one that worked last, as its core is awake and its caches hold weights (a
   * text alone: 5.2 ms, in turns 7.2 ms); among busy ones the one whose batch runs longest.
   */
  next(isWanted: (model: string) => boolean): Worker | undefined {
    let best: Worker | undefined;
    for (const worker of this.#workers.values()) {
      if (worker.taken >= worker.permits || worker.isolated || !isWanted(worker.model)) continue;
      const better =
        best === undefined ||
        worker.taken < best.taken ||
        (worker.taken === best.taken && (worker.taken === 0) === worker.touched > best.touched);
      if (better) best = worker;
    }
    return best;
  }

  /** Uses one free permit of the worker. */
  take(worker: Worker): void {
    worker.taken += 1;
    worker.touched = this.#touches++;
  }

  /** Frees one permit. Of a worker that is gone there is nothing to free. */
  release(id: WorkerId): void {
    const worker = this.#workers.get(id);
    if (worker === undefined) return;
    worker.taken -= 1;
    worker.isolated = false;
    worker.touched = this.#touches++;
  }
}
