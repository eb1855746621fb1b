import { findModel } from "./_models.ts";
import { inTei } from "./_tei.ts";
import type { AnswerFailure, Handler } from "./_types.ts";

export const methods: readonly string[] = ["GET"];

export const answerFailure: AnswerFailure = inTei;

/** Whether the model that answers by default has been loaded, for probes of text-embeddings-inference. */
const handler: Handler = {
  async fetch(_, env) {
    const model = await findModel(env);
    if (model?.isLoaded === true) return new Response(null);
    return Response.json({ error: "The model is not ready.", error_type: "Unhealthy" }, { status: 503 });
  },
};

export default handler;
