import { z } from "zod";
import { readBody } from "./_body.ts";
import { inTei } from "./_tei.ts";
import { dot, embedTexts, refuseUnmet, text, texts } from "./_texts.ts";
import type { AnswerFailure, Handler } from "./_types.ts";

interface SimilarityBody {
  readonly inputs: { readonly source_sentence: string; readonly sentences: readonly string[] };
  readonly parameters?: { readonly prompt_name?: string | null; readonly truncate?: boolean | null } | null | undefined;
}

export const methods: readonly string[] = ["POST"];

export const body: z.ZodType<SimilarityBody> = z.object({
  inputs: z.object({ source_sentence: text, sentences: texts }),
  parameters: z
    .object({ prompt_name: z.string().nullable().default(null), truncate: z.boolean().nullable().default(null) })
    .nullish(),
});

export const answer: z.ZodType = z.array(z.number());

export const answerFailure: AnswerFailure = inTei;

/** The cosine of each sentence to the source, as text-embeddings-inference answers it. */
const handler: Handler = {
  async fetch(request, env) {
    const asked = await readBody(request, body, answerFailure);
    if (asked instanceof Response) return asked;
    const { source_sentence: source, sentences } = asked.inputs;
    const wanted = asked.parameters ?? {};
    const nameOf = (index: number): string =>
      index === 0 ? "inputs.source_sentence" : `inputs.sentences[${index - 1}]`;
    const result = await embedTexts(env, [source, ...sentences], { ...wanted, nameOf });
    const refusal = refuseUnmet(wanted, result, answerFailure);
    if (refusal !== undefined) return refusal;
    const [first = [], ...others] = result.rows();
    return Response.json(others.map((row) => dot(first, row)));
  },
};

export default handler;
