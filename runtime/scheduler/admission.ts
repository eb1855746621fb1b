import type { CallQueue, Holding } from "./call-queue.ts";
import type { Call, SchedulerLimits } from "./events.ts";
import { type LiveCall, tokensOf } from "./input-list.ts";

/** What the door into the queue needs. */
export interface Door {
  readonly queue: CallQueue;
  readonly limits: SchedulerLimits;
  /** Ends a waiting call to make room. */
  readonly evict: (call: LiveCall) => void;
}

/**
 * Lets a call in or says why not: its inputs and tokens must fit, all of them.
 *
 * Where several tenants fill the queue, each has an equal share of it: a call within its tenant's share evicts the newest
 * waiting calls of whoever holds most, so that a flood keeps nobody else out.
 */
export function refusalAt({ queue, limits, evict }: Door, call: Call): "queue_full" | "tenant_queue_full" | undefined {
  const tenant = call.tenant ?? "";
  const wanted = { inputs: call.inputTokens.length, tokens: tokensOf(call) };
  const partOf = (holding: Readonly<Holding> | undefined, more: Readonly<Holding>): number =>
    Math.max(
      ((holding?.inputs ?? 0) + more.inputs) / limits.queueInputsMax,
      ((holding?.tokens ?? 0) + more.tokens) / limits.queueTokensMax,
    );
  while (partOf(queue, wanted) > 1) {
    const tenants = queue.holdings.size + (queue.holdings.has(tenant) ? 0 : 1);
    if (tenants === 1) return "queue_full";
    if (partOf(queue.holdings.get(tenant), wanted) > 1 / tenants) return "tenant_queue_full";
    const nothing = { inputs: 0, tokens: 0 };
    const [holder] = [...queue.holdings].toSorted(([, a], [, b]) => partOf(b, nothing) - partOf(a, nothing));
    const victim = holder && queue.newestUnstarted(holder[0]);
    if (victim === undefined) return "queue_full";
    evict(victim);
  }
  return undefined;
}
