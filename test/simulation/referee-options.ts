import { law } from "./books.ts";
import type {
  DeadlinePhase,
  InputRef,
  SchedulerCommand,
  SchedulerEvent,
  SchedulerLimits,
} from "../../runtime/scheduler/events.ts";

/** What the laws of one model have to know of the others; without them there is one model, and it is always there. */
export interface Surroundings {
  /** Batches that may start now, over all models. */
  readonly flightsLeft: () => number;
  /** Its workers may be idle while inputs wait: it makes room for another model. */
  readonly mayRest: () => boolean;
  /** It is not loaded. */
  readonly isComing: () => boolean;
}

export const ALONE: Surroundings = { flightsLeft: () => Infinity, mayRest: () => false, isComing: () => false };

export interface RefereeOptions {
  readonly limits: SchedulerLimits;
  readonly tenants: number;
  readonly isPoison: (input: InputRef) => boolean;
  readonly around?: Surroundings;
}

/** Calls of one instant come one by one, and the last one starts what they make together. */
export function isLastOfInstant(event: SchedulerEvent): boolean {
  return event.type !== "call_submitted" || event.moreFollow !== true;
}

/** How the event at hand must end a call. */
export interface Due {
  readonly outcome: "complete" | "poison_input" | "deadline_exceeded" | "draining";
  /** Where the call was when the event came. */
  readonly phase: DeadlinePhase;
}

export type Rejection = Extract<SchedulerCommand, { readonly type: "reject_call" }>;

/** Told where a later attempt may fare better, and within bounds. */
export function checkRetryAfter(reason: string, retryAfterMs: number): void {
  const isFinal = ["deadline_exceeded", "poison_input", "model_too_large"].includes(reason);
  law(isFinal ? retryAfterMs === 0 : retryAfterMs >= 1_000 && retryAfterMs <= 60_000, "Retry-After out of bounds");
}
