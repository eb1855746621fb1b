import type { Clock } from "../clock.ts";
import { AppError } from "../errors.ts";

/** Room for request bodies: what has been read and not yet answered, of all requests together. */
export interface BodyBudget {
  /** Whether a body of this length would be taken now. */
  fits(bytes: number): boolean;
  /** For one request, without any room yet. */
  open(): BodyLease;
  readonly usedBytes: number;
}

/** What one request holds. */
export interface BodyLease {
  /** Takes room for so many bytes more. Throws `queue_full`, which says when there may be some. */
  grow(bytes: number): void;
  /** The same, but takes nothing. */
  expect(bytes: number): void;
  /** Gives back everything; a second time, nothing. */
  release(): void;
}

export interface BodyBudgetOptions {
  /** Read at each use. */
  readonly bytesMax: () => number;
  readonly clock: Pick<Clock, "nowMs">;
  /** From [0, 1). */
  readonly random: () => number;
}

/** What was given back counts for about so long. */
const MEMORY_MS = 5_000;
const RETRY_MIN_MS = 1_000;
const RETRY_MAX_MS = 60_000;
/** The guess before anything has been given back. */
const RETRY_UNKNOWN_MS = 2_000;
/** How far chance moves the hint either way, so that those sent away do not come back at once. */
const RETRY_JITTER = 0.2;

export function createBodyBudget({ bytesMax, clock, random }: BodyBudgetOptions): BodyBudget {
  let usedBytes = 0;
  let releasedBytes = 0;
  let countedAtMs = -Infinity;

  const releasedLately = (): number => releasedBytes * Math.exp((countedAtMs - clock.nowMs()) / MEMORY_MS);
  const count = (bytes: number): void => {
    releasedBytes = releasedLately() + bytes;
    countedAtMs = clock.nowMs();
  };
  const retryAfterMs = (missingBytes: number): number => {
    const waitMs = releasedBytes === 0 ? RETRY_UNKNOWN_MS : (missingBytes / releasedLately()) * MEMORY_MS;
    const middleMs = Math.min(Math.max(waitMs, RETRY_MIN_MS / (1 - RETRY_JITTER)), RETRY_MAX_MS / (1 + RETRY_JITTER));
    return Math.round(middleMs * (1 + RETRY_JITTER * (2 * random() - 1)));
  };
  const expect = (bytes: number): void => {
    const missingBytes = usedBytes + bytes - bytesMax();
    if (missingBytes <= 0) return;
    const message = "The requests that are here already hold as many bytes as may wait.";
    throw new AppError("queue_full", { message, retryAfterMs: retryAfterMs(missingBytes) });
  };
  return {
    fits: (bytes) => usedBytes + bytes <= bytesMax(),
    open() {
      let own = 0;
      return {
        expect,
        grow(bytes) {
          expect(bytes);
          own += bytes;
          usedBytes += bytes;
        },
        release() {
          usedBytes -= own;
          count(own);
          own = 0;
        },
      };
    },
    get usedBytes() {
      return usedBytes;
    },
  };
}
