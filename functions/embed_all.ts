import { refuse } from "./_body.ts";
import { inTei } from "./_tei.ts";
import type { AnswerFailure, Handler } from "./_types.ts";

export const methods: readonly string[] = ["POST"];

export const answerFailure: AnswerFailure = inTei;

/** A vector for each token is nothing that `env.AI.run` gives. */
const handler: Handler = {
  async fetch() {
    const message = "There is one vector per text here and none per token; use /embed.";
    return refuse({ status: 400, code: "invalid_request", message }, answerFailure);
  },
};

export default handler;
