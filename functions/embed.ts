import { z } from "zod";
import { readBody } from "./_body.ts";
import { answerJson } from "./_rows.ts";
import { inTei } from "./_tei.ts";
import { embedTexts, nameIn, oneOrMore, refuseUnmet, toList, vectors } from "./_texts.ts";
import type { AnswerFailure, Handler } from "./_types.ts";

interface EmbedBody {
  readonly inputs: string | readonly string[];
  readonly normalize?: boolean | null | undefined;
  readonly truncate?: boolean | null | undefined;
  readonly truncation_direction?: "Left" | "left" | "Right" | "right" | null | undefined;
  readonly prompt_name?: string | null | undefined;
  readonly dimensions?: number | null | undefined;
}

export const methods: readonly string[] = ["POST"];

export const body: z.ZodType<EmbedBody> = z.object({
  inputs: oneOrMore,
  normalize: z.boolean().nullish(),
  truncate: z.boolean().nullish(),
  truncation_direction: z.enum(["Left", "left", "Right", "right"]).nullish(),
  prompt_name: z.string().nullish(),
  dimensions: z.int().min(1).nullish(),
});

export const answer: z.ZodType = vectors;

export const answerFailure: AnswerFailure = inTei;

/** Vectors as text-embeddings-inference answers them: the bare list, for one text too. */
const handler: Handler = {
  async fetch(request, env) {
    const asked = await readBody(request, body, answerFailure);
    if (asked instanceof Response) return asked;
    const { inputs, truncation_direction: direction, ...rest } = asked;
    const wanted = { ...rest, truncation_side: direction == null ? undefined : sides[direction] };
    const result = await embedTexts(env, toList(inputs), { ...wanted, nameOf: nameIn("inputs", inputs) });
    return refuseUnmet(wanted, result, answerFailure) ?? answerJson(`[${result.encode("json").join(",")}]`);
  },
};

export default handler;

const sides = { Left: "left", left: "left", Right: "right", right: "right" } as const;
