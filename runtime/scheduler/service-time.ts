/** Weight of the newest batch in the moving averages. */
const NEWEST_WEIGHT = 0.2;

/** Averages are kept for so many sizes of batch between one and its double. */
const SIZES_PER_DOUBLING = 2;

/** An average is forgotten after this many times itself without a new batch, but not before a second has passed. */
const STALE_FACTOR = 3;
const STALE_MIN_MS = 1_000;

/** What one finished batch took. */
interface BatchTime {
  readonly atMs: number;
  readonly durationMs: number;
  /** Sum over its inputs. */
  readonly tokens: number;
}

/**
 * How long batches take, from those that have finished: for the cut of batches, early deadline rejects and Retry-After.
 *
 * A batch costs its tokens, since a worker pads each forward pass to its own longest text only. What a token costs depends
 * on how many there are, so the averages are kept by size, with straight lines between them.
 */
export class ServiceTime {
  #average: BatchTime | undefined;
  readonly #bySize = new Map<number, BatchTime>();

  batchFinished(newest: BatchTime): void {
    const average = this.#recent(newest.atMs);
    // After a pause nothing of what was known may hold any more.
    if (average === undefined) this.#bySize.clear();
    this.#average = smoothed(average, newest);
    const size = Math.floor(SIZES_PER_DOUBLING * Math.log2(newest.tokens));
    this.#bySize.set(size, smoothed(this.#bySize.get(size), newest));
  }

  /** How long a batch of so many tokens should take; undefined with no recent history. */
  expectedMs(tokens: number, atMs: number): number | undefined {
    return this.#recent(atMs) && this.#durationOf(tokens);
  }

  /** So many tokens should one worker get through in that time; Infinity before the first batch. */
  tokensWithin(durationMs: number): number {
    const known = this.#sizes();
    const nearest = known.findLast((size) => size.durationMs <= durationMs) ?? known[0];
    return nearest === undefined ? Infinity : (durationMs * nearest.tokens) / nearest.durationMs;
  }

  /** Tokens that one worker gets through in a millisecond; undefined before the first batch. An old rate is a better guess than none. */
  tokensPerMs(): number | undefined {
    return this.#average && this.#average.tokens / this.#average.durationMs;
  }

  #durationOf(tokens: number): number | undefined {
    const known = this.#sizes();
    const above = known.find((size) => size.tokens >= tokens);
    const below = known.findLast((size) => size.tokens <= tokens);
    const nearest = above ?? below;
    if (nearest === undefined) return undefined;
    if (above === undefined || below === undefined || above === below) {
      return (tokens * nearest.durationMs) / nearest.tokens;
    }
    const share = (tokens - below.tokens) / (above.tokens - below.tokens);
    return below.durationMs + share * (above.durationMs - below.durationMs);
  }

  /** Ascending in tokens. */
  #sizes(): readonly BatchTime[] {
    return [...this.#bySize.values()].toSorted((a, b) => a.tokens - b.tokens);
  }

  /** Goes stale: after one slow batch the average could refuse every later call, and nothing would ever correct it. */
  #recent(atMs: number): BatchTime | undefined {
    const average = this.#average;
    if (average === undefined) return undefined;
    return atMs <= average.atMs + Math.max(STALE_MIN_MS, STALE_FACTOR * average.durationMs) ? average : undefined;
  }
}

function smoothed(average: BatchTime | undefined, newest: BatchTime): BatchTime {
  if (average === undefined) return newest;
  return {
    atMs: newest.atMs,
    durationMs: smooth(average.durationMs, newest.durationMs),
    tokens: smooth(average.tokens, newest.tokens),
  };
}

function smooth(average: number, newest: number): number {
  return average + NEWEST_WEIGHT * (newest - average);
}
