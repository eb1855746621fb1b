const FIRST_DELAY_MS = 100;
const RESTART_DELAY_MAX_MS = 30_000;
const HEALTHY_AFTER_MS = 60_000;

/**
 * How long to wait before restart number `attempt` (from 0): 0.1 s, doubled each time, 30 s at most; `random` (0 to 1) takes off up to a quarter,
 * so that replicas lost together do not load their models together for ever.
 */
export function restartDelayMs(attempt: number, random: number): number {
  return Math.min(FIRST_DELAY_MS * 2 ** attempt, RESTART_DELAY_MAX_MS) * (1 - random / 4);
}

/** The attempt to count from when a worker is lost that was ready for `readyMs`: a minute of health clears the past. */
export function attemptAfterLoss(attempt: number, readyMs: number): number {
  return readyMs >= HEALTHY_AFTER_MS ? 0 : attempt;
}
