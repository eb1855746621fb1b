import type { z } from "zod";

/** A function: the Workers module shape. It sees Web-standard values and its bindings, nothing else. */
export interface Handler<E extends Env = Env> {
  fetch(request: Request, env: E, context: ExecutionContext): Response | Promise<Response>;
}

/** The bindings of a function. `AI` is the only one that is always there. */
export interface Env {
  readonly AI: AiBinding;
  readonly [variable: string]: unknown;
}

export interface ExecutionContext {
  /** What the file name's `[id]` matched, decoded; for `[[path]]` the segments. */
  readonly params: Readonly<Record<string, string | readonly string[]>>;
  /** Keeps the invocation alive for work that goes on after the answer. */
  waitUntil(work: Promise<unknown>): void;
  passThroughOnException(): void;
}

export interface AiBinding {
  /**
   * Embeds 1 to 100 texts; resolves with one row per text, in input order.
   *
   * The error is Workers AI's: `name` is "AiError" or "InferenceUpstreamError", `message` is "CODE: text".
   */
  run(model: string, input: AiTextInput, options?: AiOptions): Promise<AiEmbedding>;
  /** The models there are; `search`: those with this in their name. */
  models(params?: { readonly search?: string }): Promise<readonly AiModel[]>;
}

/** A model as Workers AI lists it. */
export interface AiModel {
  readonly id: string;
  readonly name: string;
  readonly description: string;
  readonly task: { readonly name: string };
  readonly tags: readonly string[];
  readonly properties: readonly { readonly property_id: string; readonly value: string }[];
}

export interface AiTextInput {
  readonly text: string | readonly string[];
  readonly pooling?: "mean" | "cls";
  // What follows are additions of embedge: Workers AI ignores them.
  /** `false` leaves the vectors at their own length. */
  readonly normalize?: boolean;
  /** One of the model's prompts, put before each text. Neither this nor `prompt`: the model's default prompt, if it has one. */
  readonly prompt_name?: string;
  /** Put before each text; not beside `prompt_name`. */
  readonly prompt?: string;
  /** Vectors are cut to so many numbers, and then normalised. */
  readonly dimensions?: number;
  /** The side at which a text beyond the model's token limit is cut. */
  readonly truncation_side?: "right" | "left";
}

export interface AiOptions {
  readonly signal?: AbortSignal;
}

/** Workers AI's answer. The optional fields are additions of embedge: absent on Cloudflare. */
export interface AiEmbedding {
  readonly shape: readonly [rows: number, dimensions: number];
  /** One row per text. Each number prints as the shortest decimal that is the same float32. */
  readonly data: readonly (readonly number[])[];
  /** "last_token" is an addition of embedge, for models that are trained so. */
  readonly pooling: "mean" | "cls" | "last_token";
  /** The model that ran, which an alias may have chosen. */
  readonly model?: string;
  /** Tokens of each text after truncation, special tokens counted. */
  readonly tokens?: readonly number[];
  /** Indexes of the texts that were cut to the model's token limit. */
  readonly truncated?: readonly number[];
}

/** What a file of functions/ may export. */
export interface FunctionModule {
  readonly default: Handler;
  /** The methods it answers: others get 405, OPTIONS the list, HEAD what GET would get. Without it every method is the function's own business. */
  readonly methods?: readonly string[];
  /** Documents the request body and the answer (OpenAPI). */
  readonly body?: z.ZodType;
  readonly answer?: z.ZodType;
}
