import { z } from "zod";
import type { AiTextInput, Env } from "./_types.ts";

/** OpenAI's limit of inputs for one request. */
export const TEXTS_MAX = 2_048;

/** Texts of one `env.AI.run`: Workers AI refuses more. */
const RUN_TEXTS_MAX = 100;

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

export interface EmbedOptions {
  readonly model?: string | null | undefined;
  readonly pooling?: "mean" | "cls" | null | undefined;
  readonly normalize?: boolean | null | undefined;
  /** How the client calls the text with this index, for errors: `texts[3]`. */
  readonly nameOf: (index: number) => string;
}

export interface Embedded {
  readonly rows: readonly (readonly number[])[];
  readonly dimensions: number;
  /** The model that ran. */
  readonly model: string;
  /** 0 where the platform does not count (Cloudflare). */
  readonly tokens: number;
  /** Indexes of the texts that were cut to the model's token limit. */
  readonly truncated: readonly number[];
}

/** One row per text, in order, from as many runs as Workers AI's limit asks for; the first run that fails ends the others. */
export async function embedTexts(env: Env, list: readonly string[], options: EmbedOptions): Promise<Embedded> {
  const variable = env["EMBEDDING_MODEL"];
  const model = options.model ?? (typeof variable === "string" ? variable : DEFAULT_MODEL);
  const settings = {
    ...(options.pooling != null && { pooling: options.pooling }),
    ...(options.normalize != null && { normalize: options.normalize }),
  } satisfies Omit<AiTextInput, "text">;
  const failure = new AbortController();
  const starts = Array.from({ length: Math.ceil(list.length / RUN_TEXTS_MAX) }, (_, run) => run * RUN_TEXTS_MAX);
  const runs = await Promise.all(
    starts.map(async (start) => {
      try {
        const input = { text: list.slice(start, start + RUN_TEXTS_MAX), ...settings };
        return { start, ...(await env.AI.run(model, input, { signal: failure.signal })) };
      } catch (error) {
        failure.abort();
        throw blame(error, (index) => options.nameOf(start + index));
      }
    }),
  );
  return {
    rows: runs.flatMap((run) => run.data),
    dimensions: runs[0]?.shape[1] ?? 0,
    model: runs[0]?.model ?? model,
    tokens: runs.flatMap((run) => run.tokens ?? []).reduce((sum, tokens) => sum + tokens, 0),
    truncated: runs.flatMap((run) => (run.truncated ?? []).map((index) => run.start + index)),
  };
}

/** The same error; where it blames one text of the run, `param` says how the client calls that text. */
function blame(error: unknown, nameOf: (index: number) => string): unknown {
  const cause: unknown = error instanceof Error ? error.cause : undefined;
  const param = typeof cause === "object" && cause !== null && "param" in cause ? String(cause.param) : "";
  const index = /^texts?\[(\d+)\]$/.exec(param)?.[1];
  return index === undefined ? error : Object.assign(error as Error, { param: nameOf(Number(index)) });
}
