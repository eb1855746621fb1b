import { z } from "zod";
import { refuse } from "../../_body.ts";
import { listModels } from "../../_models.ts";
import { inOpenAi, openAiModel, toOpenAiModel } from "../../_openai.ts";
import type { AnswerFailure, Handler } from "../../_types.ts";

export const methods: readonly string[] = ["GET"];

export const answer: z.ZodType = openAiModel;

export const answerFailure: AnswerFailure = inOpenAi;

/** One model; the slashes of its name may be encoded or not. */
const handler: Handler = {
  async fetch(_, env, { params }) {
    const name = [params["id"] ?? []].flat().join("/");
    const model = (await listModels(env)).find((listed) => listed.name === name);
    if (model !== undefined) return Response.json(toOpenAiModel(model));
    const message = "There is no such model; GET /v1/models lists those there are.";
    return refuse({ status: 404, code: "model_not_found", message, param: "model" }, answerFailure);
  },
};

export default handler;
