import { z } from "zod";
import { readBody, refuse } from "../_body.ts";
import { findModel } from "../_models.ts";
import { inOllama, ollamaDetails, withoutTag } from "../_ollama.ts";
import type { AnswerFailure, Handler } from "../_types.ts";

export const methods: readonly string[] = ["POST"];

export const body: z.ZodType<{ model: string }> = z.object({ model: z.string() });

export const answer: z.ZodType = z.looseObject({
  model_info: z.record(z.string(), z.union([z.string(), z.int()])),
  capabilities: z.array(z.string()),
});

export const answerFailure: AnswerFailure = inOllama;

/** What Ollama's tools read of a model before they use it. */
const handler: Handler = {
  async fetch(request, env) {
    const asked = await readBody(request, body, answerFailure);
    if (asked instanceof Response) return asked;
    const model = await findModel(env, withoutTag(asked.model));
    if (model === undefined) {
      const message = "GET /api/tags lists those there are.";
      return refuse({ status: 404, code: "model_not_found", message, param: "model" }, answerFailure);
    }
    return Response.json({
      modelfile: "",
      parameters: "",
      template: "",
      details: ollamaDetails,
      model_info: {
        "general.architecture": "embedge",
        ...(model.dimensions !== undefined && { "embedge.embedding_length": model.dimensions }),
        ...(model.tokensMax !== undefined && { "embedge.context_length": model.tokensMax }),
      },
      capabilities: ["embedding"],
      modified_at: "1970-01-01T00:00:00Z",
    });
  },
};

export default handler;
