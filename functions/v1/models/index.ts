import { z } from "zod";
import { listModels } from "../../_models.ts";
import { inOpenAi, openAiModel, toOpenAiModel } from "../../_openai.ts";
import type { AnswerFailure, Handler } from "../../_types.ts";

export const methods: readonly string[] = ["GET"];

export const answer: z.ZodType = z.object({ object: z.literal("list"), data: z.array(openAiModel) });

export const answerFailure: AnswerFailure = inOpenAi;

const handler: Handler = {
  async fetch(_, env) {
    return Response.json({ object: "list", data: (await listModels(env)).map(toOpenAiModel) });
  },
};

export default handler;
