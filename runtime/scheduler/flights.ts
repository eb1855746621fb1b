import type { Input } from "./call-queue.ts";
import type { BatchId, WorkerId } from "./events.ts";

/** A batch that is running, or waits inside its worker behind one that is. */
interface Flight {
  readonly id: BatchId;
  readonly workerId: WorkerId;
  /** Those of calls settled since are still among them. */
  readonly inputs: readonly Input[];
  readonly paddedTokens: number;
  /** When its worker came to it; undefined while it waits behind another batch. */
  runningFromMs: number | undefined;
}

/** The running batches in order of their start. */
export class Flights {
  readonly #batchTimeoutMs: number;
  readonly #flights = new Map<BatchId, Flight>();
  #started = 0;

  constructor(batchTimeoutMs: number) {
    this.#batchTimeoutMs = batchTimeoutMs;
  }

  get count(): number {
    return this.#flights.size;
  }

  /** A worker runs its batches in the order they came. */
  start(departure: Pick<Flight, "workerId" | "inputs" | "paddedTokens">, atMs: number): BatchId {
    const runningFromMs = this.#oldestOf(departure.workerId) === undefined ? atMs : undefined;
    const id = ++this.#started;
    this.#flights.set(id, { ...departure, id, runningFromMs });
    return id;
  }

  /** Removes the flight; undefined for a batch that is unknown or already ended, such as a late answer of a discarded worker. */
  end(id: BatchId, atMs: number): Flight | undefined {
    const flight = this.#flights.get(id);
    if (flight === undefined) return undefined;
    this.#flights.delete(id);
    const oldest = this.#oldestOf(flight.workerId);
    if (oldest !== undefined) oldest.runningFromMs ??= atMs;
    return flight;
  }

  /** Removes every flight of a worker. */
  endAllOf(workerId: WorkerId): readonly Flight[] {
    const lost = [...this.#flights.values()].filter((flight) => flight.workerId === workerId);
    for (const flight of lost) this.#flights.delete(flight.id);
    return lost;
  }

  /** The workers that have run one batch for longer than the batch timeout. */
  overdueWorkers(atMs: number): readonly WorkerId[] {
    const overdue = [...this.#flights.values()].filter((flight) => this.#overdueAtMs(flight) <= atMs);
    return overdue.map((flight) => flight.workerId);
  }

  /** Infinity when nothing runs. */
  nextOverdueAtMs(): number {
    let next = Infinity;
    for (const flight of this.#flights.values()) next = Math.min(next, this.#overdueAtMs(flight));
    return next;
  }

  #overdueAtMs(flight: Flight): number {
    return (flight.runningFromMs ?? Infinity) + this.#batchTimeoutMs;
  }

  #oldestOf(workerId: WorkerId): Flight | undefined {
    for (const flight of this.#flights.values()) if (flight.workerId === workerId) return flight;
    return undefined;
  }
}
