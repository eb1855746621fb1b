import type { Input, LiveCall } from "./input-list.ts";
import type { BatchId, WorkerId } from "./events.ts";

/** A timer may be late by this without anything being wrong. */
const TIMER_LATE_MS = 10;

/** A batch that is running, or waits inside its worker behind one that is. */
export interface Flight {
  readonly id: BatchId;
  readonly workerId: WorkerId;
  /** Those of calls settled since are still among them. */
  readonly inputs: readonly Input[];
  /** When its worker came to it; undefined while it waits behind another batch. */
  runningFromMs: number | undefined;
  /** Time on top of the batch timeout, because the host and not the worker was slow. */
  graceMs: number;
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

  /** Whether a worker has come to a batch with an input of this call. */
  runs(call: LiveCall): boolean {
    for (const { runningFromMs, inputs } of this.#flights.values()) {
      if (runningFromMs !== undefined && inputs.some((input) => input.call === call)) return true;
    }
    return false;
  }

  /** A worker runs its batches in the order they came. */
  start(departure: Pick<Flight, "workerId" | "inputs">, atMs: number): BatchId {
    const runningFromMs = this.#oldestOf(departure.workerId) === undefined ? atMs : undefined;
    const id = ++this.#started;
    this.#flights.set(id, { ...departure, id, runningFromMs, graceMs: 0 });
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

  /**
   * The workers that have run one batch for longer than the batch timeout.
   *
   * After a stall of the host, or the sleep of the machine, an answer may lie there unread: what the timer came too late
   * is given back to each batch, once, and at most another batch timeout.
   */
  overdueWorkers(atMs: number, timerLateMs: number): readonly WorkerId[] {
    const overdue = [...this.#flights.values()].filter((flight) => this.#overdueAtMs(flight) <= atMs);
    if (timerLateMs > TIMER_LATE_MS) {
      for (const flight of overdue) {
        if (flight.graceMs > 0) continue;
        flight.graceMs = atMs - this.#overdueAtMs(flight) + Math.min(timerLateMs, this.#batchTimeoutMs);
      }
    }
    return overdue.filter((flight) => this.#overdueAtMs(flight) <= atMs).map((flight) => flight.workerId);
  }

  /** Infinity when nothing runs. */
  nextOverdueAtMs(): number {
    let next = Infinity;
    for (const flight of this.#flights.values()) next = Math.min(next, this.#overdueAtMs(flight));
    return next;
  }

  #overdueAtMs(flight: Flight): number {
    return (flight.runningFromMs ?? Infinity) + this.#batchTimeoutMs + flight.graceMs;
  }

  #oldestOf(workerId: WorkerId): Flight | undefined {
    for (const flight of this.#flights.values()) if (flight.workerId === workerId) return flight;
    return undefined;
  }
}
