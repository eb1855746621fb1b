import type { Clock } from "../clock.ts";

/** Slows those down who come back at once whatever they are told. */
export interface RefusalPacer {
  /** Resolves when a refusal may be sent; undefined for at once, which it is unless there is a storm of them. */
  hold(): Promise<void> | undefined;
}

/** Refusals in one second that cost nothing worth saving. */
const PER_SECOND = 200;
/** Longer than this nobody is held: a client that waits for its answer is not to think it lost. */
const HOLD_MS_MAX = 1_000;

const MS_PER_REFUSAL = 1_000 / PER_SECOND;

/**
 * The first refusals of each second go out at once, the others one behind the other.
 *
 * Some clients repeat a 503 within a millisecond and without end (Hugging Face's for JavaScript, measured), and what they
 * wait for they cannot ask again.
 */
export function createRefusalPacer(clock: Clock): RefusalPacer {
  let nextAtMs = -Infinity;
  return {
    hold() {
      const nowMs = clock.nowMs();
      nextAtMs = Math.min(Math.max(nextAtMs, nowMs - HOLD_MS_MAX) + MS_PER_REFUSAL, nowMs + HOLD_MS_MAX);
      if (nextAtMs <= nowMs) return undefined;
      const sendAtMs = nextAtMs;
      return new Promise((resolve) => clock.setTimer(sendAtMs, resolve));
    },
  };
}
