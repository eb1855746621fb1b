import type { Clock } from "../../runtime/clock.ts";

export interface VirtualClock extends Clock {
  /** Moves time on and fires what is due, in order of time. */
  advance(byMs: number): void;
  /** Timers that have neither fired nor been cleared. */
  readonly timers: number;
}

/** A clock that stands still until a test moves it. */
export function createVirtualClock(startMs = 1_000): VirtualClock {
  let nowMs = startMs;
  let timers: { readonly atMs: number; readonly fire: () => void }[] = [];
  return {
    nowMs: () => nowMs,
    setTimer(atMs, fire) {
      const timer = { atMs, fire };
      timers.push(timer);
      return { clear: () => void (timers = timers.filter((other) => other !== timer)) };
    },
    advance(byMs) {
      const untilMs = nowMs + byMs;
      for (;;) {
        const due = timers.filter(({ atMs }) => atMs <= untilMs).toSorted((a, b) => a.atMs - b.atMs)[0];
        if (due === undefined) break;
        timers = timers.filter((timer) => timer !== due);
        nowMs = Math.max(nowMs, due.atMs);
        due.fire();
      }
      nowMs = untilMs;
    },
    get timers() {
      return timers.length;
    },
  };
}
