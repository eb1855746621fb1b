import { z } from "zod";
import { readBody } from "../../../../../../_body.ts";
import { oneOrMore, vectors } from "../../../../../../_texts.ts";
import type { AiTextInput, AnswerFailure, Handler } from "../../../../../../_types.ts";
import { inWorkersAi, resultOf, toRunResult } from "../../../../../../_workers_ai.ts";

export const methods: readonly string[] = ["POST"];

export const body: z.ZodType<AiTextInput> = z.looseObject({
  text: oneOrMore,
  pooling: z.enum(["mean", "cls"]).exactOptional(),
});

export const answer: z.ZodType = resultOf(
  z.looseObject({ shape: z.array(z.int()).length(2), data: vectors, pooling: z.string() }),
);

export const answerFailure: AnswerFailure = inWorkersAi;

/** Workers AI's REST API, for whatever account: the model's name is in the path, its slashes encoded or not. */
const handler: Handler = {
  async fetch(request, env, { params }) {
    const input = await readBody(request, body, answerFailure);
    if (input instanceof Response) return input;
    return toRunResult(await env.AI.run([params["model"] ?? []].flat().join("/"), input));
  },
};

export default handler;
