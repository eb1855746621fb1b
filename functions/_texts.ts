import { z } from "zod";
import { inOwnWords, refuse } from "./_body.ts";
import { encodeRow } from "./_rows.ts";
import type { AiEmbedding, AiTextInput, AnswerFailure, Env, RowFormat } from "./_types.ts";

/** OpenAI's limit of inputs for one request. */
export const TEXTS_MAX = 2_048;

/** Texts of one `env.AI.run`: Workers AI refuses more. Where the variable EMBEDDING_TEXTS_MAX says otherwise, so many. */
const RUN_TEXTS_MAX = 100;

/** Runs of one request at one time: embedge refuses more than 64. */
const RUNS_AT_ONCE_MAX = 32;

/** Any model that the platform serves under this name; elsewhere the variable EMBEDDING_MODEL names another. */
const DEFAULT_MODEL = "@cf/baai/bge-base-en-v1.5";

/** Why a value is not a text that can be embedded. */
export interface Fault {
  readonly code: string;
  readonly message: string;
  /** Where it is, inside the value. */
  readonly path?: readonly number[];
}

/** An empty text is fine: to the model it is its special tokens alone. */
export function faultOfText(value: unknown): Fault | undefined {
  if (typeof value !== "string") return { code: "invalid_request", message: "Expected a text." };
  if (!value.isWellFormed()) return { code: "invalid_unicode", message: "A text holds half of a surrogate pair." };
  return undefined;
}

/** The first fault alone, so that a hostile list of a million wrong values costs one; `faultOf` judges each text. */
export function faultOfTexts(
  value: unknown,
  faultOf: (text: unknown) => Fault | undefined = faultOfText,
): Fault | undefined {
  if (!Array.isArray(value)) return { code: "invalid_request", message: "Expected a list of texts." };
  if (value.length === 0) return { code: "empty_input", message: "There is no text to embed." };
  if (value.length > TEXTS_MAX) {
    return { code: "too_many_inputs", message: `${value.length} texts are more than the limit of ${TEXTS_MAX}.` };
  }
  for (const [index, text] of value.entries()) {
    const fault = faultOf(text);
    if (fault !== undefined) return { ...fault, path: [index] };
  }
  return undefined;
}

/** A schema for what `faultOf` lets pass; `T` must be what it then is. */
export function checked<T>(faultOf: (value: unknown) => Fault | undefined): z.ZodType<T> {
  return z.unknown().transform((value, context): T => {
    const fault = faultOf(value);
    if (fault === undefined) return value as T;
    const { code, message, path = [] } = fault;
    context.issues.push({ code: "custom", input: value, message, path: [...path], params: { code } });
    return z.NEVER;
  });
}

/** One text, without half of a surrogate pair. */
export const text: z.ZodType<string> = checked<string>(faultOfText).meta({ type: "string" });

/** 1 to `TEXTS_MAX` of them. */
export const texts: z.ZodType<readonly string[]> = checked<readonly string[]>((value) => faultOfTexts(value)).meta({
  type: "array",
  items: { type: "string" },
  minItems: 1,
  maxItems: TEXTS_MAX,
});

/** One row of numbers per text. */
export const vectors: z.ZodType<number[][]> = z.array(z.array(z.number()));

/** One text or a list of them. */
export const oneOrMore: z.ZodType<string | readonly string[]> = checked<string | readonly string[]>((value) =>
  Array.isArray(value) ? faultOfTexts(value) : faultOfText(value),
).meta({
  anyOf: [{ type: "string" }, { type: "array", items: { type: "string" }, minItems: 1, maxItems: TEXTS_MAX }],
});

export function toList(value: string | readonly string[]): readonly string[] {
  return typeof value === "string" ? [value] : value;
}

/** How `oneOrMore` under this name calls the text with an index. */
export function nameIn(field: string, value: unknown): (index: number) => string {
  return (index) => (Array.isArray(value) ? `${field}[${index}]` : field);
}

/** The model that runs where a client asks for this one, or for none. */
export function modelOf(env: Env, asked?: string | null): string {
  const variable = env["EMBEDDING_MODEL"];
  return asked ?? (typeof variable === "string" ? variable : DEFAULT_MODEL);
}

/** What a client may ask of its vectors; null stands for a field that is not there. */
export type Asked = {
  readonly [Field in Exclude<keyof AiTextInput, "text">]?: AiTextInput[Field] | null | undefined;
};

export interface EmbedOptions extends Asked {
  readonly model?: string | null | undefined;
  /** How the client calls the text with this index, for errors: `texts[3]`. */
  readonly nameOf: (index: number) => string;
}

export interface Embedded {
  readonly rows: () => readonly (readonly number[])[];
  /** The rows as text, which on embedge is there already. */
  readonly encode: (format: RowFormat) => readonly string[];
  readonly dimensions: number;
  /** The model that ran. */
  readonly model: string;
  /** Of that model, where the platform tells. */
  readonly revision: string | undefined;
  /** Whether embedge answered, which alone names the model: other platforms do not know its additions. */
  readonly isEmbedge: boolean;
  /** 0 where the platform does not count (Cloudflare). */
  readonly tokens: number;
  /** Indexes of the texts that were cut to the model's token limit. */
  readonly truncated: readonly number[];
}

/**
 * One row per text, in order, from as many runs as Workers AI's limit asks for; the first run that fails ends the others.
 * What the platform has ignored, `refuseUnmet` tells.
 */
export async function embedTexts(env: Env, list: readonly string[], options: EmbedOptions): Promise<Embedded> {
  const model = modelOf(env, options.model);
  const settings = readSettings(options);
  const runTexts = Number(env["EMBEDDING_TEXTS_MAX"]) || RUN_TEXTS_MAX;
  const starts = Array.from({ length: Math.ceil(list.length / runTexts) }, (_, run) => run * runTexts);
  // A run alone has no others to end.
  const failure = starts.length > 1 ? new AbortController() : undefined;
  const embedFrom = async (start: number): Promise<{ readonly start: number; readonly answer: AiEmbedding }> => {
    try {
      const input = { text: list.slice(start, start + runTexts), ...settings };
      return { start, answer: await env.AI.run(model, input, failure && { signal: failure.signal }) };
    } catch (error) {
      failure?.abort();
      throw blame(error, (index) => options.nameOf(start + index));
    }
  };
  const runs = await inTurn(starts, embedFrom);
  const first = runs[0]?.answer;
  const given = first?.shape[1] ?? 0;
  const dimensions = Math.min(options.dimensions ?? given, given);
  const rowsOf = ({ data }: AiEmbedding): AiEmbedding["data"] =>
    dimensions < given ? data.map((row) => cut(row, dimensions, options.normalize ?? true)) : data;
  return {
    rows: () => runs.flatMap(({ answer }) => rowsOf(answer)),
    encode: (format) =>
      runs.flatMap(({ answer }) => {
        if (answer.encode !== undefined && dimensions === given) return answer.encode(format);
        return rowsOf(answer).map((row) => encodeRow(row, format));
      }),
    dimensions,
    model: first?.model ?? model,
    revision: first?.revision,
    isEmbedge: first?.model !== undefined,
    tokens: runs.flatMap(({ answer }) => answer.tokens ?? []).reduce((sum, tokens) => sum + tokens, 0),
    truncated: runs.flatMap(({ start, answer }) => (answer.truncated ?? []).map((index) => start + index)),
  };
}

/** As `Promise.all` of a map, with so many at one time. */
async function inTurn<T, R>(items: readonly T[], run: (item: T) => Promise<R>): Promise<readonly R[]> {
  const results: R[] = [];
  const rest = items.entries();
  const follow = async (): Promise<void> => {
    for (const [index, item] of rest) results[index] = await run(item);
  };
  await Promise.all(Array.from({ length: Math.min(RUNS_AT_ONCE_MAX, items.length) }, follow));
  return results;
}

/** Of two vectors of length 1 this is the cosine. */
export function dot(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, value, index) => sum + value * (b[index] ?? 0), 0);
}

/** What a client asked for that the vectors may not meet. */
export interface Wanted extends Asked {
  /** False: a text beyond the model's limit is an error. */
  readonly truncate?: boolean | null | undefined;
}

/** The refusal where the vectors are not those that were asked for: platforms drop fields that they do not know. */
export function refuseUnmet(
  wanted: Wanted,
  { isEmbedge, model, dimensions, truncated }: Embedded,
  answer: AnswerFailure = inOwnWords,
): Response | undefined {
  const unmet = (param: string, message: string): Response =>
    refuse({ status: 400, code: "invalid_request", message, param }, answer);
  const ignored = isEmbedge ? undefined : additions.find((field) => wanted[field] != null);
  if (ignored !== undefined) return unmet(ignored, `This platform has no \`${ignored}\`.`);
  if ((wanted.dimensions ?? 0) > dimensions) return unmet("dimensions", `${model} has ${dimensions} dimensions.`);
  if (wanted.truncate !== false) return undefined;
  if (!isEmbedge) return unmet("truncate", "This platform does not tell which texts it cuts.");
  if (truncated.length === 0) return undefined;
  const message = `The text with index ${truncated[0]} exceeds the context length of ${model}.`;
  return refuse({ status: 400, code: "input_too_long", message }, answer);
}

/** Without them a vector means something else; to cut vectors, no platform is needed. */
const additions = ["prompt_name", "prompt", "truncation_side"] as const satisfies readonly (keyof Asked)[];

/** The first dimensions, at length 1 again unless asked otherwise, for models trained to be cut so (Matryoshka). Nine digits keep a float32. */
function cut(row: readonly number[], dimensions: number, normalize: boolean): readonly number[] {
  const head = row.slice(0, dimensions);
  if (!normalize) return head;
  const length = Math.hypot(...head) || 1;
  return head.map((value) => Number(Math.fround(value / length).toPrecision(9)));
}

function readSettings(options: Asked): Omit<AiTextInput, "text"> {
  const { pooling, normalize, prompt_name, prompt, dimensions, truncation_side } = options;
  return {
    ...(pooling != null && { pooling }),
    ...(normalize != null && { normalize }),
    ...(prompt_name != null && { prompt_name }),
    ...(prompt != null && { prompt }),
    ...(dimensions != null && { dimensions }),
    ...(truncation_side != null && { truncation_side }),
  };
}

/**
 * The same error; where it blames one text of the run, `param` says how the client calls that text.
 *
 * embedge says so at the end of the message, the one thing that Workers AI's class keeps: `5006: … [invalid_unicode, text[3]]`.
 */
function blame(error: unknown, nameOf: (index: number) => string): unknown {
  if (!(error instanceof Error)) return error;
  const index = / \[\w+, texts?\[(\d+)\]\]$/.exec(error.message)?.[1];
  return index === undefined ? error : Object.assign(error, { param: nameOf(Number(index)) });
}
