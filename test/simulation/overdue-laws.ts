import type { SchedulerLimits } from "../../runtime/scheduler/events.ts";
import type { BookedFlight, Books } from "./books.ts";

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
