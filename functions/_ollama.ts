import type { ListedModel } from "./_models.ts";
import type { AnswerFailure } from "./_types.ts";

/** A text alone: an object is shown to people as `[object Object]`. Programs look for "not found". */
export const inOllama: AnswerFailure = ({ status, code, message, headers }) =>
  Response.json({ error: code === "model_not_found" ? `model not found: ${message}` : message }, { status, headers });

const TAG = ":latest";

/** Names of models have a tag there, which its clients add where there is none. */
export function withoutTag(model: string): string {
  return model.endsWith(TAG) ? model.slice(0, -TAG.length) : model;
}

/** A model as `/api/tags` has it; what is asked of every model there and unknown here is empty. */
export function toOllamaModel({ name }: ListedModel): object {
  return {
    name: name + TAG,
    model: name + TAG,
    modified_at: "1970-01-01T00:00:00Z",
    size: 0,
    digest: "",
    details: ollamaDetails,
  };
}

export const ollamaDetails: object = {
  parent_model: "",
  format: "",
  family: "",
  families: [],
  parameter_size: "",
  quantization_level: "",
};

/** Its durations are whole nanoseconds. */
export function nanosecondsSince(startedAtMs: number): number {
  return Math.round((performance.now() - startedAtMs) * 1_000_000);
}
