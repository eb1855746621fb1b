import { z } from "zod";
import type { AnswerFailure, Handler } from "../../../../../../_types.ts";
import { inWorkersAi, resultOf, toResult } from "../../../../../../_workers_ai.ts";

export const methods: readonly string[] = ["GET"];

export const answer: z.ZodType = resultOf(z.array(z.looseObject({ id: z.string(), name: z.string() })));

export const answerFailure: AnswerFailure = inWorkersAi;

const handler: Handler = {
  async fetch(request, env) {
    const search = new URL(request.url).searchParams.get("search") ?? "";
    return toResult(await env.AI.models({ search }));
  },
};

export default handler;
