/** Weight of the newest batch in the moving averages. */
const NEWEST_WEIGHT = 0.2;

/** An average is forgotten after this many times itself without a new batch, but not before a second has passed. */
const STALE_FACTOR = 3;
const STALE_MIN_MS = 1_000;

/** What one finished batch took. */
interface BatchTime {
  readonly atMs: number;
  readonly durationMs: number;
  /** Sum over its inputs, the unit in which the queue counts. */
  readonly tokens: number;
  /** Longest × count, the unit in which a batch costs. */
  readonly paddedTokens: number;
}

/** Moving averages over finished batches: for Retry-After, early deadline rejects and the size of batches. */
export class ServiceTime {
  #average: BatchTime | undefined;

  batchFinished(newest: BatchTime): void {
    const average = this.#recent(newest.atMs) ?? newest;
    this.#average = {
      atMs: newest.atMs,
      durationMs: smooth(average.durationMs, newest.durationMs),
      tokens: smooth(average.tokens, newest.tokens),
      paddedTokens: smooth(average.paddedTokens, newest.paddedTokens),
    };
  }

  /** How long a batch of this cost should take; undefined with no recent history. */
  expectedMs(paddedTokens: number, atMs: number): number | undefined {
    const average = this.#recent(atMs);
    return average && (paddedTokens * average.durationMs) / average.paddedTokens;
  }

  /** Padded tokens in a millisecond of one worker; undefined before the first batch. */
  paddedTokensPerMs(): number | undefined {
    return this.#average && this.#average.paddedTokens / this.#average.durationMs;
  }

  /** Tokens that one worker gets through in a millisecond; undefined before the first batch. An old rate is a better guess than none. */
  tokensPerMs(): number | undefined {
    return this.#average && this.#average.tokens / this.#average.durationMs;
  }

  /** Goes stale: after one slow batch the average could refuse every later call, and nothing would ever correct it. */
  #recent(atMs: number): BatchTime | undefined {
    const average = this.#average;
    if (average === undefined) return undefined;
    return atMs <= average.atMs + Math.max(STALE_MIN_MS, STALE_FACTOR * average.durationMs) ? average : undefined;
  }
}

function smooth(average: number, newest: number): number {
  return average + NEWEST_WEIGHT * (newest - average);
}
