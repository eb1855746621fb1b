import { z } from "zod";
import { loadCl100k, type Vocabulary } from "../_cl100k.ts";
import { readBody, refuse } from "../_body.ts";
import { answerJson } from "../_rows.ts";
import { checked, embedTexts, type Fault, faultOfText, faultOfTexts, refuseUnmet, TEXTS_MAX } from "../_texts.ts";
import type { Handler } from "../_types.ts";

type TokenIds = readonly number[];
type Input = string | readonly string[] | TokenIds | readonly TokenIds[];

/** OpenAI's request for embeddings; fields it does not name are dropped. */
interface EmbeddingsBody {
  readonly input: Input;
  readonly model?: string | null | undefined;
  readonly encoding_format?: "float" | "base64" | null | undefined;
  readonly dimensions?: number | null | undefined;
  /** Additions of embedge. */
  readonly prompt_name?: string | null | undefined;
  readonly prompt?: string | null | undefined;
  readonly user?: string | null | undefined;
}

export const methods: readonly string[] = ["POST"];

export const body: z.ZodType<EmbeddingsBody> = z.object({
  input: checked<Input>(faultOfInput).meta({
    anyOf: [
      { type: "string", minLength: 1 },
      { type: "array", items: { type: "string", minLength: 1 }, minItems: 1, maxItems: TEXTS_MAX },
      { type: "array", items: { type: "integer" }, minItems: 1 },
      { type: "array", items: { type: "array", items: { type: "integer" }, minItems: 1 }, maxItems: TEXTS_MAX },
    ],
  }),
  model: z.string().nullish(),
  encoding_format: z.enum(["float", "base64"]).nullish(),
  dimensions: z.int().min(1).nullish(),
  prompt_name: z.string().nullish(),
  prompt: z.string().nullish(),
  user: z.string().max(1_024).nullish(),
});

const handler: Handler = {
  async fetch(request, env) {
    const asked = await readBody(request, body);
    if (asked instanceof Response) return asked;
    const texts = await toTexts(asked.input);
    if (texts instanceof Response) return texts;
    const isList = isListOfInputs(asked.input);
    const nameOf = (index: number): string => (isList ? `input[${index}]` : "input");
    const result = await embedTexts(env, texts, { ...asked, nameOf });
    const refusal = refuseUnmet(asked, result);
    if (refusal !== undefined) return refusal;
    const isBase64 = asked.encoding_format === "base64";
    const rows = isBase64 ? result.encode("base64").map((row) => `"${row}"`) : result.encode("json");
    const data = rows.map((row, index) => `{"object":"embedding","index":${index},"embedding":${row}}`);
    const facts = {
      model: result.model,
      usage: { prompt_tokens: result.tokens, total_tokens: result.tokens },
    };
    return answerJson(`{"object":"list","data":[${data.join(",")}],${JSON.stringify(facts).slice(1)}`);
  },
};

export default handler;

function isListOfInputs(input: Input): boolean {
  return typeof input === "object" && typeof input[0] !== "number";
}

/** The first element tells a list of texts from one text as token ids and from a list of those. */
function faultOfInput(value: unknown): Fault | undefined {
  if (typeof value === "string") return faultOfFilledText(value);
  if (!Array.isArray(value)) {
    return { code: "invalid_request", message: "Expected a text, a list of texts, or lists of token ids." };
  }
  if (typeof value[0] === "number") return faultOfIds(value);
  if (!Array.isArray(value[0]) || value.length > TEXTS_MAX) return faultOfTexts(value, faultOfFilledText);
  for (const [index, ids] of value.entries()) {
    const fault = faultOfIds(ids);
    if (fault !== undefined) return { ...fault, path: [index, ...(fault.path ?? [])] };
  }
  return undefined;
}

/** OpenAI refuses an empty text. */
function faultOfFilledText(value: unknown): Fault | undefined {
  return value === "" ? { code: "empty_input", message: "A text is empty." } : faultOfText(value);
}

function faultOfIds(value: unknown): Fault | undefined {
  if (!Array.isArray(value)) return { code: "invalid_request", message: "Expected a list of token ids." };
  if (value.length === 0) return { code: "empty_input", message: "There is no token to embed." };
  const index = value.findIndex((id) => !Number.isSafeInteger(id) || id < 0);
  if (index === -1) return undefined;
  return { code: "invalid_request", message: "A token id is a whole number from 0.", path: [index] };
}

/** Token ids are cl100k's: clients that send ids count with it for every model name that they do not know. */
async function toTexts(input: Input): Promise<readonly string[] | Response> {
  if (typeof input === "string") return [input];
  if (typeof input[0] === "string") return input as readonly string[];
  const vocabulary = await loadCl100k();
  const isList = isListOfInputs(input);
  const lists = isList ? (input as readonly TokenIds[]) : [input as TokenIds];
  const texts: string[] = [];
  for (const [index, ids] of lists.entries()) {
    const unknownAt = firstUnknown(vocabulary, ids);
    if (unknownAt !== undefined) {
      const message = "There is no such token in cl100k_base.";
      const param = isList ? `input[${index}][${unknownAt}]` : `input[${unknownAt}]`;
      return refuse({ status: 400, code: "invalid_request", message, param });
    }
    texts.push(vocabulary.decode(ids));
  }
  return texts;
}

function firstUnknown(vocabulary: Vocabulary, ids: TokenIds): number | undefined {
  const index = ids.findIndex((id) => !vocabulary.has(id));
  return index === -1 ? undefined : index;
}
