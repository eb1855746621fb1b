import { z } from "zod";
import { listModels } from "../_models.ts";
import { inOllama, toOllamaModel } from "../_ollama.ts";
import type { AnswerFailure, Handler } from "../_types.ts";

export const methods: readonly string[] = ["GET"];

export const answer: z.ZodType = z.object({
  models: z.array(z.looseObject({ name: z.string(), model: z.string(), modified_at: z.iso.datetime(), size: z.int() })),
});

export const answerFailure: AnswerFailure = inOllama;

const handler: Handler = {
  async fetch(_, env) {
    return Response.json({ models: (await listModels(env)).map(toOllamaModel) });
  },
};

export default handler;
