import { z } from "zod";
import { readBody } from "../_body.ts";
import { inOllama, nanosecondsSince, withoutTag } from "../_ollama.ts";
import { answerJson } from "../_rows.ts";
import {
  checked,
  embedTexts,
  type Fault,
  faultOfText,
  faultOfTexts,
  nameIn,
  refuseUnmet,
  TEXTS_MAX,
  toList,
  vectors,
} from "../_texts.ts";
import type { AnswerFailure, Handler } from "../_types.ts";

interface EmbedBody {
  readonly model: string;
  readonly input?: string | readonly string[] | null | undefined;
  readonly truncate?: boolean | null | undefined;
  readonly dimensions?: number | null | undefined;
}

export const methods: readonly string[] = ["POST"];

export const body: z.ZodType<EmbedBody> = z.object({
  model: z.string(),
  input: checked<string | readonly string[]>(faultOfInput)
    .meta({ anyOf: [{ type: "string" }, { type: "array", items: { type: "string" }, maxItems: TEXTS_MAX }] })
    .nullish(),
  truncate: z.boolean().nullish(),
  dimensions: z.int().min(1).nullish(),
});

export const answer: z.ZodType = z.object({
  model: z.string(),
  embeddings: vectors,
  total_duration: z.int(),
  load_duration: z.int(),
  prompt_eval_count: z.int().optional(),
});

export const answerFailure: AnswerFailure = inOllama;

/** Ollama's vectors; its `options` and `keep_alive` mean nothing here. */
const handler: Handler = {
  async fetch(request, env) {
    const startedAtMs = performance.now();
    const asked = await readBody(request, body, answerFailure);
    if (asked instanceof Response) return asked;
    const { model, dimensions, truncate } = asked;
    const list = asked.input == null || asked.input === "" ? [] : toList(asked.input);
    // This is how its clients load a model.
    if (list.length === 0) return Response.json({ model, embeddings: [], total_duration: 0, load_duration: 0 });
    const options = { model: withoutTag(model), dimensions, nameOf: nameIn("input", asked.input) };
    const result = await embedTexts(env, list, options);
    const refusal = refuseUnmet({ dimensions, truncate }, result, answerFailure);
    if (refusal !== undefined) return refusal;
    const facts = {
      total_duration: nanosecondsSince(startedAtMs),
      load_duration: 0,
      prompt_eval_count: result.tokens,
    };
    const head = `{"model":${JSON.stringify(model)},"embeddings":[${result.encode("json").join(",")}]`;
    return answerJson(`${head},${JSON.stringify(facts).slice(1)}`);
  },
};

export default handler;

/** No text at all is fine. */
function faultOfInput(value: unknown): Fault | undefined {
  if (!Array.isArray(value)) return faultOfText(value);
  return value.length === 0 ? undefined : faultOfTexts(value);
}
