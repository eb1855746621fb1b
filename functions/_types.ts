import type { z } from "zod";

/** A function: the Workers module shape. It sees Web-standard values and its bindings, nothing else. */
export interface Handler<E extends Env = Env> extends EventHandler<E> {
  fetch(request: Request, env: E, context: ExecutionContext): Response | Promise<Response>;
}

/**
 * What else a file may answer, beside its requests or instead of them; one file of the functions for each of the two.
 *
 * They run where wrangler's configuration has `[triggers] crons` and `[[queues.consumers]]`.
 */
export interface EventHandler<E extends Env = Env> {
  scheduled?(controller: ScheduledController, env: E, context: EventContext): unknown;
  queue?(batch: MessageBatch, env: E, context: EventContext): unknown;
}

export type EventContext = Omit<ExecutionContext, "params">;

export interface ScheduledController {
  /** The expression that fired, as it is written in the configuration. */
  readonly cron: string;
  /** When it was to fire, milliseconds since 1970. */
  readonly scheduledTime: number;
  noRetry(): void;
}

/** Messages of one queue. What is neither acknowledged nor sent back is acknowledged when the handler returns, sent back when it throws. */
export interface MessageBatch<Body = unknown> {
  readonly queue: string;
  readonly messages: readonly Message<Body>[];
  ackAll(): void;
  retryAll(options?: RetryOptions): void;
}

export interface Message<Body = unknown> {
  readonly id: string;
  readonly timestamp: Date;
  readonly body: Body;
  /** 1 for the first delivery. */
  readonly attempts: number;
  ack(): void;
  retry(options?: RetryOptions): void;
}

export interface RetryOptions {
  readonly delaySeconds?: number;
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
  /** The models there are; `search`: those with this in their name; `task`: those for it. */
  models(params?: { readonly search?: string; readonly task?: string }): Promise<readonly AiModel[]>;
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
  /** Of that model: the commit it was pulled at, or a hash of its weights. */
  readonly revision?: string;
  /** Tokens of each text after truncation, special tokens counted. */
  readonly tokens?: readonly number[];
  /** Indexes of the texts that were cut to the model's token limit. */
  readonly truncated?: readonly number[];
  /** The rows as texts that can go into an answer as they are. Nobody looks at the numbers, so it costs a twentieth of `JSON.stringify`. */
  readonly encode?: (format: RowFormat) => readonly string[];
}

/** "json": a list of numbers, each the shortest decimal that is the same float32. "base64": float32, little-endian. */
export type RowFormat = "json" | "base64";

/** What went wrong, for a dialect to say in its own words. */
export interface Failure {
  readonly status: number;
  /** For programs: one of docs/errors.md. */
  readonly code: string;
  /** For people. */
  readonly message: string;
  /** OpenAI's name for the kind of failure. */
  readonly type: string;
  /** The field to blame, as a path: `texts[3]`. */
  readonly param: string | undefined;
  /** When to repeat, as clients read it; they belong to every answer. */
  readonly headers: Readonly<Record<string, string>>;
}

/** A failure in the words of one dialect. */
export type AnswerFailure = (failure: Failure) => Response;

/** What a file of functions/ may export. */
export interface FunctionModule {
  readonly default: Handler;
  /** The methods it answers: others get 405, OPTIONS the list, HEAD what GET would get. Without it every method is the function's own business. */
  readonly methods?: readonly string[];
  /** Its own limits, within those of the host. */
  readonly limits?: FunctionLimits;
  /** Answers what goes wrong in the function, and around it: limits, deadline, a full queue. Without it: OpenAI's envelope. */
  readonly answerFailure?: AnswerFailure;
  /** Documents the request body and the answer (OpenAPI). */
  readonly body?: z.ZodType;
  readonly answer?: z.ZodType;
}

export interface FunctionLimits {
  /** Its deadline, and the longest that a request may ask for; then 504. Never beyond `server.requestTimeoutMsMax`. */
  readonly timeoutMs?: number;
  /** Longest request body; a longer one gets 413. Never beyond `server.bodyBytesMax`. */
  readonly bodyBytesMax?: number;
}
