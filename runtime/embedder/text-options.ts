import { AppError } from "../errors.ts";
import type { ModelInfo, TextOptions } from "../pool/worker-pool.ts";

/** UTF-16 code units of a prompt: it travels in the head of a frame, which has 64 KiB and takes six bytes for the worst of them. */
const PROMPT_LENGTH_MAX = 8_192;

/** Whether only the model can tell that this can be had. */
export function asksOfModel({ promptName, dimensions }: TextOptions): boolean {
  return promptName !== undefined || dimensions !== undefined;
}

/** Throws `invalid_request` that names the field which the model cannot give; `starting` where no worker has told what it can. */
export function checkTextOptions(options: TextOptions, info: ModelInfo | undefined, textBytesMax: number): void {
  const { promptName, prompt, dimensions } = options;
  if (promptName !== undefined && prompt !== undefined) {
    throw invalid("prompt", "`prompt` and `prompt_name` exclude each other.");
  }
  const lengthMax = Math.min(PROMPT_LENGTH_MAX, textBytesMax);
  if (prompt !== undefined && prompt.length > lengthMax) {
    throw invalid("prompt", `A prompt has at most ${lengthMax} characters.`);
  }
  if (prompt !== undefined && !prompt.isWellFormed()) throw new AppError("invalid_unicode", { param: "prompt" });
  if (!asksOfModel(options)) return;
  if (info === undefined) throw new AppError("starting");
  if (promptName !== undefined) checkPromptName(promptName, info);
  if (dimensions !== undefined) checkDimensions(dimensions, info);
}

function checkPromptName(name: string, { model, prompts }: ModelInfo): void {
  if (prompts.includes(name)) return;
  const known = prompts.length === 0 ? "it has none" : `it has: ${prompts.join(", ")}`;
  // The name is not quoted: what a client put there may be a text.
  throw invalid("prompt_name", `${model} has no such prompt; ${known}.`);
}

function checkDimensions(wanted: number, { model, dimensions, dimensionsAllowed }: ModelInfo): void {
  if (!Number.isInteger(wanted) || wanted < 1 || wanted > dimensions) {
    throw invalid("dimensions", `${model} has ${dimensions} dimensions; ask for 1 to ${dimensions}.`);
  }
  if (dimensionsAllowed === null || wanted === dimensions || dimensionsAllowed.includes(wanted)) return;
  const allowed = [...new Set([...dimensionsAllowed, dimensions])].join(", ");
  throw invalid("dimensions", `The dimensions of ${model} are one of ${allowed}.`);
}

function invalid(param: string, message: string): AppError {
  return new AppError("invalid_request", { param, message });
}
