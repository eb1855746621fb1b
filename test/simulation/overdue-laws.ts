import type { DeadlinePhase, SchedulerLimits } from "../../runtime/scheduler/events.ts";
import type { BookedCall, BookedFlight, Books } from "./books.ts";

/** A timer may be late by this without anything being wrong. */
const TIMER_LATE_MS = 10;

/** When a flight becomes overdue; Infinity for none. */
export function overdueAtMs(flight: BookedFlight | undefined, { batchTimeoutMs }: SchedulerLimits): number {
  return flight === undefined ? Infinity : Math.max(flight.runningFromMs + batchTimeoutMs, flight.graceEndsAtMs);
}

export function nextOverdueAtMs(books: Books, limits: SchedulerLimits): number {
  const oldest = [...books.workers.values()].map(({ flights }) => overdueAtMs(flights[0], limits));
  return Math.min(Infinity, ...oldest);
}

/** Where a call with these inputs is; `isComing`: its model is not loaded. */
export function phaseOf(books: Books, inputs: BookedCall["inputs"], isComing = false): DeadlinePhase {
  if (inputs.every(({ place }) => place === "queued")) return isComing ? "loading" : "queued";
  const running = [...books.workers.values()].flatMap(({ flights }) => flights[0]?.inputs ?? []);
  const hasBegun = inputs.some((input) => input.place === "done" || running.includes(input));
  if (!hasBegun) books.count("batched");
  return hasBegun ? "in_flight" : "batched";
}

/** What a late timer takes from a batch is given back, once. */
export function giveGrace(books: Books, limits: SchedulerLimits, timer: { atMs: number; lateMs: number }): void {
  if (timer.lateMs <= TIMER_LATE_MS) return;
  for (const { flights } of books.workers.values()) {
    const [oldest] = flights;
    if (oldest === undefined || oldest.graceEndsAtMs > 0 || overdueAtMs(oldest, limits) > timer.atMs) continue;
    oldest.graceEndsAtMs = timer.atMs + Math.min(timer.lateMs, limits.batchTimeoutMs);
    books.count("grace");
  }
}
