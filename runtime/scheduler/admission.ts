import type { CallQueue, Holding } from "./call-queue.ts";
import type { Call, RejectReason, SchedulerLimits } from "./events.ts";
import { type LiveCall, tokensOf } from "./input-list.ts";
import type { Lane } from "./lanes.ts";
import type { Residency } from "./residency.ts";

/** What the door into the queue needs. */
export interface Door {
  /** Of the call's model. */
  readonly lane: Lane;
  readonly limits: SchedulerLimits;
  readonly residency: Residency;
  /** Ends a waiting call to make room. */
  readonly evict: (call: LiveCall) => void;
}

const NOTHING: Readonly<Holding> = { inputs: 0, tokens: 0 };

/** Lets a call in or says why not. */
export function refusalAt(door: Door, call: Call, atMs: number): RejectReason | undefined {
  const { lane, residency } = door;
  if (call.deadlineAtMs <= atMs) return "deadline_exceeded";
  const unavailable = residency.refusal(lane.model, atMs);
  if (unavailable !== undefined) return unavailable;
  const refusal = refusalOf(lane.queue, door, call);
  return refusal === undefined || lane.everReady ? refusal : "starting";
}

/**
 * Makes sure that there is room: its inputs and tokens must fit, all of them.
 *
 * Where several tenants fill the queue, each has an equal share of it: a call within its tenant's share evicts the newest
 * waiting calls of whoever holds most and has any, so that a flood keeps nobody else out.
 */
function refusalOf(
  queue: CallQueue,
  { limits, evict }: Door,
  call: Call,
): "queue_full" | "tenant_queue_full" | undefined {
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
    const parts = [...queue.holdings].map(([name, holding]) => ({ name, part: partOf(holding, NOTHING) }));
    const victim = parts
      .filter(({ part }) => part > 1 / tenants)
      .toSorted((a, b) => b.part - a.part)
      .map(({ name }) => queue.newestUnstarted(name))
      .find((found) => found !== undefined);
    if (victim === undefined) return "queue_full";
    evict(victim);
  }
  return undefined;
}
