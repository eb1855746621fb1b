import type { RejectReason } from "./events.ts";

/** Bounds of the answer, and how far chance may move it either way so that clients do not all come back at once. */
const RETRY_MIN_MS = 1_000;
const RETRY_MAX_MS = 60_000;
const RETRY_JITTER = 0.2;

/** The guess before the first batch has finished. */
const RETRY_UNKNOWN_MS = 2_000;

/**
 * Calls that come back are spread so thin that they make up this part of what the host gets through. At the door they
 * compete with new calls, which come as fast as old ones end, so about 1 / (1 + RETURN_SHARE) of them get in at once.
 */
const RETURN_SHARE = 0.125;

/** Those away are kept in intervals of this length, not one by one. */
const INTERVAL_MS = 250;

/** The calls that were refused and told when to come back. */
export class AwayCalls {
  readonly #tokensByInterval = new Map<number, number>();
  #tokens = 0;

  /** Tokens of the calls that will come back after this instant. */
  tokensAfter(atMs: number): number {
    // In order of insertion, not of time: few enough to look at all.
    for (const [interval, tokens] of this.#tokensByInterval) {
      if ((interval + 1) * INTERVAL_MS > atMs) continue;
      this.#tokensByInterval.delete(interval);
      this.#tokens -= tokens;
    }
    return this.#tokens;
  }

  add(tokens: number, backAtMs: number): void {
    const interval = Math.floor(backAtMs / INTERVAL_MS);
    this.#tokensByInterval.set(interval, (this.#tokensByInterval.get(interval) ?? 0) + tokens);
    this.#tokens += tokens;
  }
}

/** What is waiting, and how fast it goes: `tokensPerMs` of one worker, undefined with no history. */
export interface Backlog {
  readonly tokens: number;
  /** Of the calls that were told to come back and have not had the time to. */
  readonly awayTokens: number;
  readonly tokensPerMs: number | undefined;
  readonly workers: number;
  /** Until a model that could not be loaded is tried again. */
  readonly failedForMs?: number;
}

/** When a refused call may come back; 0 where a later attempt would fare no better, or where the client knows best. */
export function retryAfterMs(reason: RejectReason, backlog: Backlog, random: () => number): number {
  switch (reason) {
    case "deadline_exceeded":
    case "poison_input":
    case "model_too_large":
      return 0;
    case "model_unavailable":
      return spread(backlog.failedForMs ?? 0, random());
    case "draining":
      return RETRY_MIN_MS;
    case "queue_full":
    case "tenant_queue_full":
    case "starting":
    case "no_worker":
    case "worker_failed":
      return spread(drainTimeMs(backlog), random());
  }
}

/** The queue's own time, or longer where many have been sent away before: they come back at a part of the drain rate. */
function drainTimeMs({ tokens, awayTokens, tokensPerMs, workers }: Backlog): number {
  if (tokensPerMs === undefined) return RETRY_UNKNOWN_MS;
  return Math.max(tokens, awayTokens / RETURN_SHARE) / (tokensPerMs * Math.max(1, workers));
}

/** Clamped first, so that the spread stays inside the bounds: at a bound itself, half of the clients would get one same value. */
function spread(waitMs: number, chance: number): number {
  const middleMs = Math.min(Math.max(waitMs, RETRY_MIN_MS / (1 - RETRY_JITTER)), RETRY_MAX_MS / (1 + RETRY_JITTER));
  return Math.round(middleMs * (1 + RETRY_JITTER * (2 * chance - 1)));
}
