import type { EmbedCall } from "../embedder/embedder.ts";
import { AppError } from "../errors.ts";

type TextOptions = Pick<EmbedCall, "promptName" | "prompt" | "dimensions" | "truncationSide">;

/** embedge's additions to the input of `env.AI.run`; throws `invalid_request` that names the field of a wrong type. What the model can give, the embedder knows. */
export function readTextOptions(input: Readonly<Record<string, unknown>>): TextOptions {
  const { prompt_name: promptName, prompt, dimensions, truncation_side: truncationSide } = input;
  if (promptName !== undefined && typeof promptName !== "string") throw invalid("prompt_name", "a string");
  if (prompt !== undefined && typeof prompt !== "string") throw invalid("prompt", "a string");
  if (dimensions !== undefined && typeof dimensions !== "number") throw invalid("dimensions", "a whole number");
  if (truncationSide !== undefined && truncationSide !== "right" && truncationSide !== "left") {
    throw invalid("truncation_side", "right or left");
  }
  return { promptName, prompt, dimensions, truncationSide };
}

function invalid(param: string, wanted: string): AppError {
  return new AppError("invalid_request", { param, message: `\`${param}\` must be ${wanted}.` });
}
