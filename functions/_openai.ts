import { z } from "zod";
import { refuse } from "./_body.ts";
import type { ListedModel } from "./_models.ts";
import { loadCl100k, type Vocabulary } from "./_cl100k.ts";
import { checked, type Fault, faultOfText, faultOfTexts, TEXTS_MAX } from "./_texts.ts";
import type { AnswerFailure } from "./_types.ts";

type TokenIds = readonly number[];
/** How Jina's clients may send a text. */
interface TextObject {
  readonly text: string;
}
export type Input = string | readonly string[] | readonly TextObject[] | TokenIds | readonly TokenIds[];

/** OpenAI's `input`, and Jina's. */
export const openAiInput: z.ZodType<Input> = checked<Input>(faultOfInput).meta({
  anyOf: [
    { type: "string", minLength: 1 },
    { type: "array", items: { type: "string", minLength: 1 }, minItems: 1, maxItems: TEXTS_MAX },
    { type: "array", items: { type: "integer", minimum: 0 }, minItems: 1 },
    {
      type: "array",
      items: { type: "array", items: { type: "integer", minimum: 0 }, minItems: 1 },
      minItems: 1,
      maxItems: TEXTS_MAX,
    },
    {
      type: "array",
      items: { type: "object", properties: { text: { type: "string", minLength: 1 } }, required: ["text"] },
      minItems: 1,
      maxItems: TEXTS_MAX,
    },
  ],
});

/** OpenAI's envelope, and `detail`, where Jina and Voyage say the same: their clients come by the same path. */
export const inOpenAi: AnswerFailure = ({ status, code, message, type, param, headers }) =>
  Response.json({ error: { message, type, param: param ?? null, code }, detail: message }, { status, headers });

export function isListOfInputs(input: Input): boolean {
  return typeof input === "object" && typeof input[0] !== "number";
}

/** The first element tells a list of texts from one text as token ids, from a list of those and from Jina's objects. */
function faultOfInput(value: unknown): Fault | undefined {
  if (typeof value === "string") return faultOfFilledText(value);
  if (!Array.isArray(value)) {
    return { code: "invalid_request", message: "Expected a text, a list of texts, or lists of token ids." };
  }
  if (typeof value[0] === "number") return faultOfIds(value);
  if (isTextObject(value[0])) return faultOfTexts(value, faultOfTextObject);
  if (!Array.isArray(value[0]) || value.length > TEXTS_MAX) return faultOfTexts(value, faultOfFilledText);
  for (const [index, ids] of value.entries()) {
    const fault = faultOfIds(ids);
    if (fault !== undefined) return { ...fault, path: [index, ...(fault.path ?? [])] };
  }
  return undefined;
}

function isTextObject(value: unknown): value is TextObject {
  return typeof value === "object" && value !== null && "text" in value;
}

function faultOfTextObject(value: unknown): Fault | undefined {
  if (isTextObject(value)) return faultOfFilledText(value.text);
  return { code: "invalid_request", message: "Only texts can be embedded: an object must hold `text`." };
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
export async function toTexts(input: Input): Promise<readonly string[] | Response> {
  if (typeof input === "string") return [input];
  if (typeof input[0] === "string") return input as readonly string[];
  if (isTextObject(input[0])) return (input as readonly TextObject[]).map(({ text }) => text);
  const vocabulary = await loadCl100k();
  const isList = isListOfInputs(input);
  const lists = isList ? (input as readonly TokenIds[]) : [input as TokenIds];
  const texts: string[] = [];
  for (const [index, ids] of lists.entries()) {
    const unknownAt = firstUnknown(vocabulary, ids);
    if (unknownAt !== undefined) {
      const message = "There is no such token in cl100k_base.";
      const param = isList ? `input[${index}][${unknownAt}]` : `input[${unknownAt}]`;
      return refuse({ status: 400, code: "invalid_request", message, param }, inOpenAi);
    }
    texts.push(vocabulary.decode(ids));
  }
  return texts;
}

function firstUnknown(vocabulary: Vocabulary, ids: TokenIds): number | undefined {
  const index = ids.findIndex((id) => !vocabulary.has(id));
  return index === -1 ? undefined : index;
}

/** A model as its clients read it. */
export const openAiModel: z.ZodType = z.object({
  id: z.string(),
  object: z.literal("model"),
  created: z.int(),
  owned_by: z.string(),
});

/** `created` and `owned_by` are required there, and nobody knows them here. */
export function toOpenAiModel({ name }: ListedModel): object {
  return { id: name, object: "model", created: 0, owned_by: "embedge" };
}
