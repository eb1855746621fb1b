import { z } from "zod";
import { readBody, refuse } from "../_body.ts";
import { inCohere } from "../_cohere.ts";
import { promptNameFor, type Purpose } from "../_purpose.ts";
import { answerJson } from "../_rows.ts";
import { type Embedded, embedTexts, refuseUnmet, text } from "../_texts.ts";
import type { AnswerFailure, Handler } from "../_types.ts";
import { type VectorType, writeRows } from "../_vectors.ts";

type Optional<T> = T | null | undefined;
type InputType = "search_query" | "search_document" | "classification" | "clustering";
type EmbeddingType = VectorType | "base64";

interface TextPart {
  readonly type: "text";
  readonly text: string;
}

interface EmbedBody {
  readonly model: string;
  readonly texts?: Optional<readonly string[]>;
  readonly inputs?: Optional<readonly { readonly content: readonly TextPart[] }[]>;
  readonly input_type?: Optional<InputType>;
  readonly embedding_types?: Optional<readonly EmbeddingType[]>;
  readonly output_dimension?: Optional<number>;
  readonly truncate?: Optional<"NONE" | "START" | "END">;
}

const purposes: Readonly<Record<InputType, Purpose>> = {
  search_query: "query",
  search_document: "document",
  classification: "classification",
  clustering: "clustering",
};

/** Cohere refuses more, and its clients do not split. */
const TEXTS_MAX = 96;

export const methods: readonly string[] = ["POST"];

export const body: z.ZodType<EmbedBody> = z.object({
  model: z.string(),
  texts: z.array(text).max(TEXTS_MAX).nullish(),
  inputs: z
    .array(z.object({ content: z.array(z.object({ type: z.literal("text"), text })).min(1) }))
    .max(TEXTS_MAX)
    .nullish(),
  input_type: z.literal(Object.keys(purposes) as InputType[]).nullish(),
  embedding_types: z.array(z.enum(["float", "int8", "uint8", "binary", "ubinary", "base64"])).nullish(),
  output_dimension: z.int().min(1).nullish(),
  truncate: z.enum(["NONE", "START", "END"]).nullish(),
});

export const answer: z.ZodType = z.object({
  id: z.string(),
  response_type: z.literal("embeddings_by_type"),
  texts: z.array(z.string()),
  embeddings: z.record(z.string(), z.array(z.union([z.array(z.number()), z.string()]))),
  meta: z.object({
    api_version: z.object({ version: z.string() }),
    billed_units: z.object({ input_tokens: z.int() }),
  }),
});

export const answerFailure: AnswerFailure = inCohere;

const handler: Handler = {
  async fetch(request, env) {
    const asked = await readBody(request, body, answerFailure);
    if (asked instanceof Response) return asked;
    const { model, truncate, embedding_types: types } = asked;
    const texts = textsOf(asked);
    if (texts.length === 0) {
      const message = "There is no text to embed: send `texts`, or `inputs` with texts.";
      return refuse({ status: 400, code: "empty_input", message, param: "texts" }, answerFailure);
    }
    const purpose = asked.input_type == null ? undefined : purposes[asked.input_type];
    const wanted = {
      dimensions: asked.output_dimension,
      prompt_name: await promptNameFor(env, model, purpose),
      truncation_side: truncate === "START" ? ("left" as const) : undefined,
      truncate: truncate === "NONE" ? false : undefined,
    };
    const field = asked.texts == null ? "inputs" : "texts";
    const result = await embedTexts(env, texts, { ...wanted, model, nameOf: (index) => `${field}[${index}]` });
    const refusal = refuseUnmet(wanted, result, answerFailure);
    if (refusal !== undefined) return refusal;
    const wantedTypes = types == null || types.length === 0 ? (["float"] as const) : types;
    const embeddings = wantedTypes.map((type) => `"${type}":[${write(result, type).join(",")}]`);
    const facts = {
      id: crypto.randomUUID(),
      response_type: "embeddings_by_type",
      texts,
      meta: { api_version: { version: "2" }, billed_units: { input_tokens: result.tokens } },
    };
    return answerJson(`{"embeddings":{${embeddings.join(",")}},${JSON.stringify(facts).slice(1)}`);
  },
};

export default handler;

/** The texts of one input are embedded as one. */
function textsOf({ texts, inputs }: EmbedBody): readonly string[] {
  if (texts != null) return texts;
  return (inputs ?? []).map(({ content }) => content.map((part) => part.text).join("\n"));
}

function write(result: Embedded, type: EmbeddingType): readonly string[] {
  return type === "base64" ? writeRows(result, "float", "base64") : writeRows(result, type, "json");
}
