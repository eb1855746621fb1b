import { nextBudget } from "./batch-budget.ts";
import type { BatchCut } from "./batch-policy.ts";
import { CallQueue } from "./call-queue.ts";
import type { BatchBudget, RejectReason, SchedulerLimits, SchedulerSnapshot } from "./events.ts";
import type { Flight } from "./flights.ts";
import type { Input, LiveCall } from "./input-list.ts";
import { AwayCalls, retryAfterMs } from "./retry-after.ts";
import { ServiceTime } from "./service-time.ts";
import { Suspects } from "./suspects.ts";

/** What is kept apart for each model: a cold or a slow one must not fill the queue of another, nor a bad one mislead its cuts. */
export interface Lane {
  readonly model: string;
  readonly queue: CallQueue;
  readonly serviceTime: ServiceTime;
  readonly away: AwayCalls;
  readonly suspects: Suspects;
  /** A worker of it has been ready at some time. */
  everReady: boolean;
}

/** The lanes of all models, each from when the model is first named. */
export class Lanes {
  readonly #attemptsMax: number;
  readonly #lanes = new Map<string, Lane>();

  constructor({ attemptsMax }: SchedulerLimits) {
    this.#attemptsMax = attemptsMax;
  }

  counts(): Pick<SchedulerSnapshot, "queueInputs" | "queueTokens"> {
    let [queueInputs, queueTokens] = [0, 0];
    for (const { queue } of this.#lanes.values()) {
      queueInputs += queue.inputs;
      queueTokens += queue.tokens;
    }
    return { queueInputs, queueTokens };
  }

  of(model: string): Lane {
    const lane = this.#lanes.get(model) ?? {
      model,
      queue: new CallQueue(),
      serviceTime: new ServiceTime(),
      away: new AwayCalls(),
      suspects: new Suspects(this.#attemptsMax),
      everReady: false,
    };
    this.#lanes.set(model, lane);
    return lane;
  }

  /** The lane of the inputs of one batch. */
  ofInputs([first]: readonly Input[]): Lane {
    return this.of(first?.call.model ?? "");
  }
}

/** The bounds of the model's next batch. */
export function budgetOf({ queue, serviceTime }: Lane, limits: SchedulerLimits, idleWorkers: number): BatchBudget {
  const tokensWithin = (durationMs: number): number => serviceTime.tokensWithin(durationMs);
  return nextBudget(limits, { waitingInputs: queue.inputs, idleWorkers, tokensWithin });
}

/** The calls about to start whose answer would come too late. */
export function hopelessCalls({ serviceTime }: Lane, cut: BatchCut<Input>, atMs: number): ReadonlySet<LiveCall> {
  const hopeless = new Set<LiveCall>();
  const expectedMs = serviceTime.expectedMs(cut.tokens, atMs);
  if (expectedMs === undefined) return hopeless;
  for (const { call } of cut.inputs) if (call.deadlineAtMs - expectedMs < atMs) hopeless.add(call);
  return hopeless;
}

/** Learns from a batch that gave vectors. */
export function noteFinished({ suspects, serviceTime }: Lane, flight: Flight, atMs: number): void {
  suspects.batchFinished();
  const { inputs, runningFromMs } = flight;
  if (runningFromMs === undefined) return;
  const tokens = inputs.reduce((sum, input) => sum + input.tokens, 0);
  serviceTime.batchFinished({ atMs, durationMs: atMs - runningFromMs, tokens });
}

/** A call that is refused, and what decides when it may come back. */
export interface Departure {
  readonly call: Pick<LiveCall, "tokens">;
  readonly atMs: number;
  /** Of the model, ready. */
  readonly workers: number;
  /** Until a model that could not be loaded is tried again. */
  readonly failedForMs: number;
  readonly random: () => number;
}

/** When a refused call may come back; the lane remembers that it will. */
export function backAfterMs({ queue, away, serviceTime }: Lane, reason: RejectReason, departure: Departure): number {
  const { call, atMs, workers, failedForMs, random } = departure;
  const awayTokens = away.tokensAfter(atMs);
  const backlog = { tokens: queue.tokens, awayTokens, tokensPerMs: serviceTime.tokensPerMs(), workers, failedForMs };
  const waitMs = retryAfterMs(reason, backlog, random);
  if (reason === "queue_full" || reason === "tenant_queue_full") away.add(call.tokens, atMs + waitMs);
  return waitMs;
}
