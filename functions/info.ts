import { z } from "zod";
import { findModel } from "./_models.ts";
import { inTei } from "./_tei.ts";
import { modelOf, TEXTS_MAX } from "./_texts.ts";
import type { AnswerFailure, Handler } from "./_types.ts";

export const methods: readonly string[] = ["GET"];

export const answer: z.ZodType = z.object({
  model_id: z.string(),
  model_sha: z.null(),
  model_dtype: z.string(),
  model_type: z.object({ embedding: z.object({ pooling: z.string().nullable() }) }),
  max_input_length: z.int().nullable(),
  max_client_batch_size: z.int(),
  auto_truncate: z.boolean(),
});

export const answerFailure: AnswerFailure = inTei;

/** What text-embeddings-inference says of itself, as far as the platform knows it. */
const handler: Handler = {
  async fetch(_, env) {
    const model = await findModel(env);
    return Response.json({
      model_id: modelOf(env),
      model_sha: null,
      model_dtype: "float32",
      model_type: { embedding: { pooling: model?.pooling ?? null } },
      max_input_length: model?.tokensMax ?? null,
      max_client_batch_size: TEXTS_MAX,
      auto_truncate: true,
    });
  },
};

export default handler;
