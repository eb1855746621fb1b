import type { CallQueue } from "./call-queue.ts";
import type { Call, RejectReason, SchedulerLimits } from "./events.ts";

/** Bounds of the answer, and how far chance may move it either way so that clients do not all come back at once. */
const RETRY_MIN_MS = 1_000;
const RETRY_MAX_MS = 60_000;
const RETRY_JITTER = 0.2;

/** The guess before the first batch has finished. */
const RETRY_UNKNOWN_MS = 2_000;

/** Whether the whole call fits the queue's bounds, in inputs and in tokens. */
export function hasRoom(queue: CallQueue, call: Call, limits: SchedulerLimits): boolean {
  const tokens = call.inputTokens.reduce((sum, each) => sum + each, 0);
  return (
    queue.inputs + call.inputTokens.length <= limits.queueInputsMax && queue.tokens + tokens <= limits.queueTokensMax
  );
}

/** What is waiting, and how fast it goes: `tokensPerMs` of one worker, undefined with no history. */
export interface Backlog {
  readonly tokens: number;
  readonly tokensPerMs: number | undefined;
  readonly workers: number;
}

/** When a refused call may come back; 0 where a later attempt would fare no better, or where the client knows best. */
export function retryAfterMs(reason: RejectReason, backlog: Backlog, random: () => number): number {
  switch (reason) {
    case "deadline_exceeded":
    case "poison_input":
      return 0;
    case "draining":
      return RETRY_MIN_MS;
    case "queue_full":
    case "starting":
    case "no_worker":
    case "worker_failed":
      return spread(drainTimeMs(backlog), random());
  }
}

function drainTimeMs({ tokens, tokensPerMs, workers }: Backlog): number {
  return tokensPerMs === undefined ? RETRY_UNKNOWN_MS : tokens / (tokensPerMs * Math.max(1, workers));
}

/** Clamped first, so that the spread stays inside the bounds: at a bound itself, half of the clients would get one same value. */
function spread(waitMs: number, chance: number): number {
  const middleMs = Math.min(Math.max(waitMs, RETRY_MIN_MS / (1 - RETRY_JITTER)), RETRY_MAX_MS / (1 + RETRY_JITTER));
  return Math.round(middleMs * (1 + RETRY_JITTER * (2 * chance - 1)));
}
