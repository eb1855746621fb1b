import { expect } from "vitest";
import { cutFromHead } from "../../runtime/scheduler/batch-policy.ts";
import type {
  Batch,
  BatchId,
  Call,
  CallId,
  Scheduler,
  SchedulerCommand,
  SchedulerEvent,
  SchedulerLimits,
  WorkerId,
} from "../../runtime/scheduler/events.ts";
import { createScheduler } from "../../runtime/scheduler/scheduler.ts";

/** An event, and every command it must bring about, in order and in words; the timer is left out. */
export type Step = readonly [event: SchedulerEvent, ...commands: readonly string[]];

export const smallLimits: SchedulerLimits = {
  inputsMax: 4,
  paddedTokensMax: 100,
  queueInputsMax: 8,
  queueTokensMax: 400,
  batchTimeoutMs: 1_000,
  attemptsMax: 5,
};

/** A scheduler whose chance is always in the middle. */
export function createTestScheduler(limits: Partial<SchedulerLimits> = {}): Scheduler {
  return createScheduler({ ...smallLimits, ...limits }, cutFromHead, () => 0.5);
}

/** Plays the steps in turn and compares each one's commands; returns the scheduler as they left it. */
export function play(steps: readonly Step[], limits: Partial<SchedulerLimits> = {}): Scheduler {
  const scheduler = createTestScheduler(limits);
  for (const [position, [event, ...commands]] of steps.entries()) {
    const actual = scheduler.handle(event).filter(({ type }) => type !== "set_timer");
    expect(actual.map(inWords), `step ${position + 1}, ${event.type} at ${event.atMs} ms`).toEqual(commands);
  }
  return scheduler;
}

/** Makes the events of one instant. */
export function at(atMs: number): EventsAt {
  return {
    ready: (workerId, permits = 1, holds) => ({ type: "worker_ready", workerId, permits, ...holds, atMs }),
    permits: (workerId, permits) => ({ type: "permits_changed", workerId, permits, atMs }),
    lost: (workerId) => ({ type: "worker_lost", workerId, atMs }),
    submit: (id, inputTokens, { batchKey = "k", deadlineAtMs = Infinity, moreFollow = false, ...share } = {}) => ({
      type: "call_submitted",
      call: { id, batchKey, inputTokens, deadlineAtMs, ...share },
      moreFollow,
      atMs,
    }),
    abort: (callId) => ({ type: "call_aborted", callId, atMs }),
    finished: (batchId, failedInputs = []) => ({ type: "batch_finished", batchId, failedInputs, atMs }),
    failed: (batchId) => ({ type: "batch_failed", batchId, atMs }),
    unloaded: (model) => ({ type: "model_unloaded", model, atMs }),
    modelFailed: (model) => ({ type: "model_failed", model, atMs }),
    timer: () => ({ type: "timer_fired", atMs }),
    drain: (graceMs) => ({ type: "drain_requested", graceMs, atMs }),
  };
}

interface EventsAt {
  ready(
    workerId: WorkerId,
    permits?: number,
    holds?: { readonly model: string; readonly memoryBytes?: number },
  ): SchedulerEvent;
  permits(workerId: WorkerId, permits: number): SchedulerEvent;
  lost(workerId: WorkerId): SchedulerEvent;
  submit(
    id: CallId,
    inputTokens: readonly number[],
    options?: Partial<Pick<Call, "batchKey" | "deadlineAtMs" | "tenant" | "priority" | "model">> & {
      readonly moreFollow?: boolean;
    },
  ): SchedulerEvent;
  abort(callId: CallId): SchedulerEvent;
  finished(batchId: BatchId, failedInputs?: readonly number[]): SchedulerEvent;
  failed(batchId: BatchId): SchedulerEvent;
  unloaded(model: string): SchedulerEvent;
  modelFailed(model: string): SchedulerEvent;
  timer(): SchedulerEvent;
  drain(graceMs: number): SchedulerEvent;
}

/** Inputs as `call.index`: "run 1 on a: 7.0 7.1". */
export function inWords(command: SchedulerCommand): string {
  switch (command.type) {
    case "run_batch":
      return `run ${command.batch.id} on ${command.workerId}: ${inputsInWords(command.batch)}`;
    case "complete_call":
      return `complete ${command.callId}`;
    case "reject_call": {
      const { callId, reason, inputIndex, phase, retryAfterMs } = command;
      const details = [
        phase,
        inputIndex === undefined ? undefined : `input ${inputIndex}`,
        retryAfterMs > 0 ? `retry after ${retryAfterMs}` : undefined,
      ];
      return [`reject ${callId}: ${reason}`, ...details.filter((detail) => detail !== undefined)].join(", ");
    }
    case "discard_worker":
      return `discard ${command.workerId}`;
    case "load_model":
    case "unload_model":
      return `${command.type === "load_model" ? "load" : "unload"} ${command.model}`;
    case "set_timer":
      return `timer ${command.atMs}`;
    case "announce_drained":
      return "drained";
  }
}

function inputsInWords({ inputs }: Batch): string {
  return inputs.map(({ callId, index }) => `${callId}.${index}`).join(" ");
}
