import { expect, test, vi } from "vitest";
import { systemClock } from "../runtime/clock.ts";

test("a jump of the wall clock moves neither the clock nor its timers (Q36)", async () => {
  vi.useFakeTimers({ toFake: ["Date"] });
  try {
    const startMs = systemClock.nowMs();
    const fired = new Promise<number>((resolve) => {
      systemClock.setTimer(startMs + 20, () => resolve(systemClock.nowMs()));
    });
    // A timer never keeps the process alive; this one does meanwhile.
    const awake = setInterval(() => {}, 5);
    vi.setSystemTime(Date.now() + 3_600_000);
    expect(systemClock.nowMs() - startMs).toBeLessThan(1_000_000);
    vi.setSystemTime(Date.now() - 7_200_000);
    const firedAtMs = await fired;
    clearInterval(awake);
    expect(firedAtMs).toBeGreaterThanOrEqual(startMs + 20);
    expect(firedAtMs - startMs).toBeLessThan(1_000_000);
  } finally {
    vi.useRealTimers();
  }
});
