import type { Clock } from "../clock.ts";

export interface StuckWatchOptions {
  readonly clock: Clock;
  /** When to look whether something is stuck, and again after that. */
  readonly everyMs: number;
  /** Resolves with whether it still answers. */
  readonly answers: () => Promise<boolean>;
  /** Told once, when it does not. */
  readonly stuck: () => void;
}

/** Looks from time to time whether what takes so long still answers at all. */
export function watchForStuck({ clock, everyMs, answers, stuck }: StuckWatchOptions): { clear(): void } {
  let isCleared = false;
  let timer = arm();
  function arm(): { clear(): void } {
    return clock.setTimer(clock.nowMs() + everyMs, () => void check());
  }
  async function check(): Promise<void> {
    const isAnswering = await answers();
    if (isCleared) return;
    if (isAnswering) timer = arm();
    else stuck();
  }
  return {
    clear() {
      isCleared = true;
      timer.clear();
    },
  };
}
