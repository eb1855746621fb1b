/** The only door to real time: monotonic milliseconds and one-shot timers. */
export interface Clock {
  /** Milliseconds since an arbitrary start; never jumps, never runs backwards. */
  nowMs(): number;
  /** Calls `fire` once, not before `atMs` on this clock. A timer never keeps the process alive. */
  setTimer(atMs: number, fire: () => void): { clear(): void };
}

/** Node turns a longer delay into 1 ms (TIMEOUT_MAX in lib/internal/timers.js), so longer waits are cut and armed again. */
const TIMER_DELAY_MAX_MS = 2 ** 31 - 1;

export const systemClock: Clock = {
  nowMs: () => performance.now(),
  setTimer(atMs, fire) {
    let timer: ReturnType<typeof setTimeout>;
    const arm = (): void => {
      const delayMs = atMs - performance.now();
      const wait = delayMs > TIMER_DELAY_MAX_MS ? arm : fire;
      timer = setTimeout(wait, Math.min(Math.max(0, Math.ceil(delayMs)), TIMER_DELAY_MAX_MS));
      // A browser's timer is a number and keeps nothing alive.
      (timer as { unref?: () => void }).unref?.();
    };
    arm();
    return { clear: () => clearTimeout(timer) };
  },
};
