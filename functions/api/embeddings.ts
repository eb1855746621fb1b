import { z } from "zod";
import { readBody } from "../_body.ts";
import { inOllama, withoutTag } from "../_ollama.ts";
import { answerJson } from "../_rows.ts";
import { embedTexts, text } from "../_texts.ts";
import type { AnswerFailure, Handler } from "../_types.ts";

export const methods: readonly string[] = ["POST"];

export const body: z.ZodType<{ model: string; prompt?: string | null | undefined }> = z.object({
  model: z.string(),
  prompt: text.nullish(),
});

export const answer: z.ZodType = z.object({ embedding: z.array(z.number()) });

export const answerFailure: AnswerFailure = inOllama;

/** Ollama's older way: one text. */
const handler: Handler = {
  async fetch(request, env) {
    const asked = await readBody(request, body, answerFailure);
    if (asked instanceof Response) return asked;
    const { model, prompt } = asked;
    // This is how its clients load a model.
    if (prompt == null || prompt === "") return Response.json({ embedding: [] });
    const { encode } = await embedTexts(env, [prompt], { model: withoutTag(model), nameOf: () => "prompt" });
    return answerJson(`{"embedding":${encode("json").join("")}}`);
  },
};

export default handler;
