import { z } from "zod";
import { readBody } from "../../_body.ts";
import { dot, embedTexts, text, texts } from "../../_texts.ts";
import type { Handler } from "../../_types.ts";

export const methods: readonly string[] = ["POST"];

export const body: z.ZodType<{ source: string; sentences: readonly string[] }> = z.object({
  source: text,
  sentences: texts,
});

export const answer: z.ZodType = z.object({ scores: z.array(z.number()), model: z.string() });

/** How near each sentence is in meaning to the source: 1 is the same. */
const handler: Handler = {
  async fetch(request, env) {
    const asked = await readBody(request, body);
    if (asked instanceof Response) return asked;
    const [source, sentences] = await Promise.all([
      embedTexts(env, [asked.source], { nameOf: () => "source" }),
      embedTexts(env, asked.sentences, { nameOf: (index) => `sentences[${index}]` }),
    ]);
    // The vectors have length 1, so that their dot product is the cosine.
    const [row = []] = source.rows();
    const scores = sentences.rows().map((other) => dot(row, other));
    return Response.json({ scores, model: source.model });
  },
};

export default handler;
