import { AppError, deadlineExceeded } from "../errors.ts";
import { BatchError, type BatchRequest } from "../pool/worker-pool.ts";
import type { SchedulerCommand } from "../scheduler/events.ts";

/** What the inputs of one batch have in common. */
export function optionsOf(call: BatchRequest): Omit<BatchRequest, "texts"> {
  const { model, pooling, normalize, promptName, prompt, dimensions, truncationSide } = call;
  return { model, pooling, normalize, promptName, prompt, dimensions, truncationSide };
}

export function asBatchError(error: unknown): BatchError {
  return error instanceof BatchError ? error : new BatchError("batch_failed", "the pool failed", { cause: error });
}

/** The failure of a call that the scheduler refuses; `modelProblem`: why its model could not be loaded last. */
export function refusalError(
  command: Extract<SchedulerCommand, { type: "reject_call" }>,
  modelProblem: string | undefined,
): AppError {
  const { reason, retryAfterMs, inputIndex, phase } = command;
  if (phase !== undefined) return deadlineExceeded(phase);
  return new AppError(reason, {
    ...(reason === "model_unavailable" && modelProblem !== undefined && { message: modelProblem }),
    ...(inputIndex !== undefined && { param: `text[${inputIndex}]` }),
    ...(retryAfterMs > 0 ? { retryAfterMs } : {}),
  });
}

export function assertBug(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Error(`${what}. This is a bug in embedge.`);
}
