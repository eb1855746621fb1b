import { refuse } from "./_body.ts";
import { inTei } from "./_tei.ts";
import type { AnswerFailure, Handler } from "./_types.ts";

export const methods: readonly string[] = ["POST"];

export const answerFailure: AnswerFailure = inTei;

/** Token ids are nothing that `env.AI.run` gives. */
const handler: Handler = {
  async fetch() {
    const message =
      "`env.AI.run` tells no token ids, so that there is no /tokenize here; /v1/embeddings counts tokens.";
    return refuse({ status: 400, code: "invalid_request", message }, answerFailure);
  },
};

export default handler;
