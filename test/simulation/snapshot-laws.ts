import type { SchedulerSnapshot } from "../../runtime/scheduler/events.ts";
import { type Books, law } from "./books.ts";

/** The scheduler's own counts are those of the books, added up over all models. */
export function checkSnapshot(all: readonly Books[], actual: SchedulerSnapshot, draining: boolean): void {
  const sum = (count: (books: Books) => number): number => all.reduce((total, books) => total + count(books), 0);
  const workers = all.flatMap((books) => [...books.workers.values()]);
  const expected: Omit<SchedulerSnapshot, "models"> = {
    queueInputs: sum(({ queue }) => queue.length),
    flyingInputs: sum(({ flyingInputs }) => flyingInputs),
    doneInputs: sum(({ doneInputs }) => doneInputs),
    liveInputs: sum(({ queue, flyingInputs, doneInputs }) => queue.length + flyingInputs + doneInputs),
    queueTokens: sum(({ queueTokens }) => queueTokens),
    liveCalls: sum(({ open }) => open.size),
    freePermits: workers.reduce((free, { permits, flights }) => free + Math.max(0, permits - flights.length), 0),
    flights: workers.reduce((count, { flights }) => count + flights.length, 0),
    readyWorkers: workers.length,
    draining,
  };
  for (const name of Object.keys(expected) as (keyof typeof expected)[]) {
    law(actual[name] === expected[name], `${name} is ${actual[name]}, the books say ${expected[name]}`);
  }
}
