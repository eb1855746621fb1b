import type { ModelInfo, ReadyWorker } from "./worker-pool.ts";

export interface SeatsOptions {
  /** Of each seat. */
  readonly permits: readonly number[];
  readonly onSeated: (worker: ReadyWorker) => void;
  readonly onLeft: (workerId: string, cause: string) => void;
  readonly onPermitsChanged: (workerId: string, permits: number) => void;
}

/** So many of the workers that are ready take batches; the others stand by, and take the seat of one that is lost in the same step. */
export class Seats {
  readonly #options: SeatsOptions;
  readonly #free: number[];
  /** Worker → permits of its seat. */
  readonly #seated = new Map<string, number>();
  /** Their seat has gone to another while their last batches run. */
  readonly #retired = new Set<string>();
  readonly #standingBy = new Map<string, ModelInfo>();
  #isClosed = false;

  constructor(options: SeatsOptions) {
    this.#options = options;
    this.#free = [...options.permits];
  }

  workerReady(id: string, model: ModelInfo): void {
    this.#standingBy.set(id, model);
    this.#fill();
  }

  workerLost(id: string, cause: string): void {
    this.#standingBy.delete(id);
    if (this.#retired.delete(id)) return this.#options.onLeft(id, cause);
    const permits = this.#seated.get(id);
    if (permits === undefined) return;
    this.#seated.delete(id);
    this.#free.unshift(permits);
    this.#options.onLeft(id, cause);
    this.#fill();
  }

  /** While a worker is silent it gets no batches, but keeps its seat. */
  workerSilent(id: string, isSilent: boolean): void {
    const permits = this.#seated.get(id);
    if (permits !== undefined) this.#options.onPermitsChanged(id, isSilent ? 0 : permits);
  }

  /** It gets no more batches, and its seat goes to one that stands by. */
  retire(id: string): void {
    this.#standingBy.delete(id);
    const permits = this.#seated.get(id);
    if (permits === undefined) return;
    this.#seated.delete(id);
    this.#retired.add(id);
    this.#free.unshift(permits);
    this.#options.onPermitsChanged(id, 0);
    this.#fill();
  }

  /** From now on nobody takes a seat. */
  close(): void {
    this.#isClosed = true;
  }

  #fill(): void {
    if (this.#isClosed) return;
    for (const [id, model] of this.#standingBy) {
      const permits = this.#free.shift();
      if (permits === undefined) return;
      this.#standingBy.delete(id);
      this.#seated.set(id, permits);
      this.#options.onSeated({ id, permits, model });
    }
  }
}

/** As even as it goes: 5 permits over 2 workers are 3 and 2. */
export function spreadPermits(permits: number, workers: number): readonly number[] {
  return Array.from(
    { length: workers },
    (_, index) => Math.floor(permits / workers) + (index < permits % workers ? 1 : 0),
  );
}
