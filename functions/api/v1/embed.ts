import { z } from "zod";
import { readBody } from "../../_body.ts";
import { answerJson } from "../../_rows.ts";
import { type Asked, embedTexts, refuseUnmet, texts, vectors } from "../../_texts.ts";
import type { Handler } from "../../_types.ts";

interface EmbedBody extends Asked {
  readonly texts: readonly string[];
  readonly model?: string | null | undefined;
}

export const methods: readonly string[] = ["POST"];

export const body: z.ZodType<EmbedBody> = z.object({
  texts,
  model: z.string().nullish(),
  pooling: z.enum(["mean", "cls"]).nullish(),
  normalize: z.boolean().nullish(),
  prompt_name: z.string().nullish(),
  prompt: z.string().nullish(),
  dimensions: z.int().min(1).nullish(),
  truncation_side: z.enum(["right", "left"]).nullish(),
});

export const answer: z.ZodType = z.object({
  embeddings: vectors,
  model: z.string(),
  revision: z.string().optional(),
  dimension: z.int(),
  usage: z.object({ total_tokens: z.int(), duration_ms: z.number() }),
  truncated: z.array(z.int()).optional(),
});

const handler: Handler = {
  async fetch(request, env) {
    const startedAtMs = performance.now();
    const asked = await readBody(request, body);
    if (asked instanceof Response) return asked;
    const result = await embedTexts(env, asked.texts, { ...asked, nameOf: (index) => `texts[${index}]` });
    const refusal = refuseUnmet(asked, result);
    if (refusal !== undefined) return refusal;
    const facts = {
      model: result.model,
      // Undefined is left out.
      revision: result.revision,
      dimension: result.dimensions,
      usage: {
        total_tokens: result.tokens,
        duration_ms: Math.round((performance.now() - startedAtMs) * 100) / 100,
      },
      ...(result.truncated.length > 0 && { truncated: result.truncated }),
    };
    return answerJson(`{"embeddings":[${result.encode("json").join(",")}],${JSON.stringify(facts).slice(1)}`);
  },
};

export default handler;
