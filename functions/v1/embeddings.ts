import { z } from "zod";
import { readBody, refuse } from "../_body.ts";
import { inOpenAi, type Input, isListOfInputs, openAiInput, toTexts } from "../_openai.ts";
import { promptNameFor, type Purpose } from "../_purpose.ts";
import { answerJson } from "../_rows.ts";
import { embedTexts, refuseUnmet } from "../_texts.ts";
import type { AnswerFailure, Handler } from "../_types.ts";
import { type VectorType, writeRows } from "../_vectors.ts";

type Optional<T> = T | null | undefined;
type Task =
  | "retrieval.query"
  | "retrieval.passage"
  | "text-matching"
  | "classification"
  | "separation"
  | "code.query"
  | "code.passage";

/** Three dialects have this one path, and are told apart by their fields; those that no one of them names are dropped. */
interface EmbeddingsBody {
  readonly input: Input;
  readonly model?: Optional<string>;
  readonly encoding_format?: Optional<"float" | "base64">;
  // OpenAI's and Jina's.
  readonly dimensions?: Optional<number>;
  readonly user?: Optional<string>;
  // Additions of embedge.
  readonly prompt_name?: Optional<string>;
  readonly prompt?: Optional<string>;
  // Voyage's.
  readonly input_type?: Optional<"query" | "document">;
  readonly truncation?: Optional<boolean>;
  readonly output_dimension?: Optional<number>;
  readonly output_dtype?: Optional<VectorType>;
  // Jina's.
  readonly task?: Optional<Task>;
  readonly normalized?: Optional<boolean>;
  readonly embedding_type?: Optional<"float" | "base64" | "binary" | "ubinary">;
  readonly truncate?: Optional<boolean>;
}

/** What Jina's clients say a text is for. */
const tasks: Readonly<Record<Task, Purpose>> = {
  "retrieval.query": "query",
  "retrieval.passage": "document",
  "text-matching": "similarity",
  classification: "classification",
  separation: "clustering",
  "code.query": "codeQuery",
  "code.passage": "codeDocument",
};

export const methods: readonly string[] = ["POST"];

export const body: z.ZodType<EmbeddingsBody> = z.object({
  input: openAiInput,
  model: z.string().nullish(),
  encoding_format: z.enum(["float", "base64"]).nullish(),
  dimensions: z.int().min(1).nullish(),
  user: z.string().max(1_024).nullish(),
  prompt_name: z.string().nullish(),
  prompt: z.string().nullish(),
  input_type: z.enum(["query", "document"]).nullish(),
  truncation: z.boolean().nullish(),
  output_dimension: z.int().min(1).nullish(),
  output_dtype: z.enum(["float", "int8", "uint8", "binary", "ubinary"]).nullish(),
  task: z.literal(Object.keys(tasks) as Task[]).nullish(),
  normalized: z.boolean().nullish(),
  embedding_type: z.enum(["float", "base64", "binary", "ubinary"]).nullish(),
  truncate: z.boolean().nullish(),
  late_chunking: z.literal(false, "One vector per text is all there is: `late_chunking` must be false.").nullish(),
  return_multivector: z.literal(false, "One vector per text is all there is.").nullish(),
});

export const answer: z.ZodType = z.object({
  object: z.literal("list"),
  data: z.array(
    z.object({
      object: z.literal("embedding"),
      index: z.int(),
      embedding: z.union([z.array(z.number()), z.string()]),
    }),
  ),
  model: z.string(),
  usage: z.object({ prompt_tokens: z.int(), total_tokens: z.int() }),
});

export const answerFailure: AnswerFailure = inOpenAi;

const handler: Handler = {
  async fetch(request, env) {
    const asked = await readBody(request, body, answerFailure);
    if (asked instanceof Response) return asked;
    const texts = await toTexts(asked.input);
    if (texts instanceof Response) return texts;
    const { type, isBase64 } = formatOf(asked);
    if (type !== "float" && asked.normalized === false) {
      const message = "Only vectors of length 1 can be written in fewer bits.";
      return refuse({ status: 400, code: "invalid_request", message, param: "normalized" }, answerFailure);
    }
    const isList = isListOfInputs(asked.input);
    const wanted = {
      dimensions: asked.dimensions ?? asked.output_dimension,
      normalize: asked.normalized,
      prompt: asked.prompt,
      prompt_name: asked.prompt_name ?? (await promptNameFor(env, asked.model, purposeOf(asked))),
      truncate: asked.truncate ?? asked.truncation,
    };
    const nameOf = (index: number): string => (isList ? `input[${index}]` : "input");
    const result = await embedTexts(env, texts, { ...wanted, model: asked.model, nameOf });
    const refusal = refuseUnmet(wanted, result, answerFailure);
    if (refusal !== undefined) return refusal;
    const rows = writeRows(result, type, isBase64 ? "base64" : "json");
    const data = rows.map((row, index) => `{"object":"embedding","index":${index},"embedding":${row}}`);
    const facts = {
      model: result.model,
      usage: { prompt_tokens: result.tokens, total_tokens: result.tokens },
    };
    return answerJson(`{"object":"list","data":[${data.join(",")}],${JSON.stringify(facts).slice(1)}`);
  },
};

export default handler;

function formatOf({ encoding_format: encoding, output_dtype: dtype, embedding_type: jina }: EmbeddingsBody): {
  readonly type: VectorType;
  readonly isBase64: boolean;
} {
  const isBase64 = encoding === "base64" || jina === "base64";
  return { type: dtype ?? (jina == null || jina === "base64" ? "float" : jina), isBase64 };
}

/** A prompt that the client names itself goes before what its purpose would choose. */
function purposeOf({ prompt, input_type: inputType, task }: EmbeddingsBody): Purpose | undefined {
  if (prompt != null) return undefined;
  if (inputType != null) return inputType;
  return task == null ? undefined : tasks[task];
}
