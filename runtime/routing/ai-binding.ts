import type { AiBinding, AiEmbedding, AiOptions, AiTextInput } from "../../functions/_types.ts";
import type { EmbedCall, Embedder, EmbedResult } from "../embedder/embedder.ts";
import { AppError, type ErrorCode } from "../errors.ts";
import { toAppError } from "./error-response.ts";
import { toFloat32Decimal } from "./float32-decimal.ts";
import { readTextOptions } from "./text-options.ts";

/** What `env.AI` inherits from the run of a handler that it was made for. */
export interface AiScope {
  /** On the host's Clock, for a call that is made now. */
  deadlineAtMs(): number;
  readonly signal: AbortSignal;
  /** Told of each call that gave vectors. */
  embedded(result: EmbedResult): void;
}

export interface AiLimits {
  /** Texts of one run. */
  readonly textsMax: number;
}

/** `env.AI` over an embedder, with the contract of Workers AI's own class for text embeddings. */
export function bindAi(embedder: Embedder, scope: AiScope, limits: AiLimits): AiBinding {
  return new Ai(embedder, scope, limits);
}

/** Runs of one invocation that may be open at once: a function that fans out without bound must not fill the queue alone. */
const OPEN_RUNS_MAX = 64;

class Ai implements AiBinding {
  /** Always null: they belong to Cloudflare's own network and AI Gateway. */
  readonly lastRequestId: string | null = null;
  readonly aiGatewayLogId: string | null = null;
  lastRequestHttpStatusCode: number | null = null;
  readonly #embedder: Embedder;
  readonly #scope: AiScope;
  readonly #limits: AiLimits;
  #openRuns = 0;

  constructor(embedder: Embedder, scope: AiScope, limits: AiLimits) {
    this.#embedder = embedder;
    this.#scope = scope;
    this.#limits = limits;
  }

  async run(model: string, input: AiTextInput, options?: AiOptions): Promise<AiEmbedding> {
    const signal = readSignal(options);
    signal?.throwIfAborted();
    if (this.#openRuns >= OPEN_RUNS_MAX) {
      const message = `More than ${OPEN_RUNS_MAX} runs of one invocation are open.`;
      throw new InferenceUpstreamError(new AppError("queue_full", { message }));
    }
    this.#openRuns++;
    try {
      const call = readCall(model, input, this.#limits.textsMax);
      const result = await this.#embedder.embed({
        ...call,
        deadlineAtMs: this.#scope.deadlineAtMs(),
        signal: signal === undefined ? this.#scope.signal : AbortSignal.any([this.#scope.signal, signal]),
      });
      this.#scope.embedded(result);
      this.lastRequestHttpStatusCode = 200;
      return toAnswer(result);
    } catch (thrown) {
      // As `fetch` does, which the genuine class hands the signal to.
      signal?.throwIfAborted();
      const error = toAppError(thrown, "internal_error");
      this.lastRequestHttpStatusCode = upstreamCodeOf(error).httpStatus;
      throw new InferenceUpstreamError(error);
    } finally {
      this.#openRuns--;
    }
  }
}

/**
 * The error of Workers AI's class: code and text stand in `message`, and there are no other fields.
 * `cause` is an addition of embedge: the failure by our own catalogue.
 */
export class InferenceUpstreamError extends Error {
  constructor(cause: AppError) {
    const { code, httpStatus } = upstreamCodeOf(cause);
    super(`${code}: ${cause.message}`, { cause });
    // The service says AiError where the caller is to blame.
    this.name = httpStatus === 400 || httpStatus === 413 ? "AiError" : "InferenceUpstreamError";
  }
}

interface UpstreamCode {
  readonly code: number;
  readonly httpStatus: number;
}

/**
 * Codes from developers.cloudflare.com/workers-ai/platform/errors. Two stand in no list but in what the service sends:
 * 5006 for an input that does not fit the model's schema, 3043 for a failure of the service itself.
 */
const upstream = {
  invalidInput: { code: 5006, httpStatus: 400 },
  invalidData: { code: 5004, httpStatus: 400 },
  noSuchModel: { code: 5007, httpStatus: 400 },
  tooLarge: { code: 3006, httpStatus: 413 },
  timeout: { code: 3007, httpStatus: 408 },
  aborted: { code: 3008, httpStatus: 408 },
  outOfCapacity: { code: 3040, httpStatus: 429 },
  internal: { code: 3043, httpStatus: 500 },
} satisfies Record<string, UpstreamCode>;

const upstreamCodes: Partial<Record<ErrorCode, UpstreamCode>> = {
  invalid_request: upstream.invalidInput,
  empty_input: upstream.invalidInput,
  invalid_unicode: upstream.invalidInput,
  poison_input: upstream.invalidData,
  model_not_found: upstream.noSuchModel,
  too_many_inputs: upstream.tooLarge,
  input_too_long: upstream.tooLarge,
  deadline_exceeded: upstream.timeout,
  client_gone: upstream.aborted,
  queue_full: upstream.outOfCapacity,
  tenant_queue_full: upstream.outOfCapacity,
  starting: upstream.outOfCapacity,
  draining: upstream.outOfCapacity,
  no_worker: upstream.outOfCapacity,
};

function upstreamCodeOf(error: AppError): UpstreamCode {
  return upstreamCodes[error.code] ?? upstream.internal;
}

type Call = Omit<EmbedCall, "deadlineAtMs" | "signal">;

/** Reads each value once and copies the texts, so that what was checked is what runs, whatever the caller does later. */
function readCall(model: unknown, input: unknown, textsMax: number): Call {
  if (typeof model !== "string") throw invalid("The model's name must be a string.", "model");
  if (typeof input !== "object" || input === null) throw invalid("The input must be an object with `text`.");
  const { text, pooling, normalize = true, ...options } = readFields(input);
  if (pooling !== undefined && pooling !== "mean" && pooling !== "cls") {
    throw invalid("`pooling` must be mean or cls.", "pooling");
  }
  if (typeof normalize !== "boolean") throw invalid("`normalize` must be true or false.", "normalize");
  return { model, texts: readTexts(text, textsMax), pooling, normalize, ...readTextOptions(options) };
}

function readFields(input: object): Readonly<Record<string, unknown>> {
  try {
    return { ...input };
  } catch (cause) {
    throw invalid("A field of the input could not be read.", undefined, cause);
  }
}

function readTexts(text: unknown, textsMax: number): readonly string[] {
  if (typeof text === "string") {
    checkText(text, "text");
    return [text];
  }
  const texts = copyList(text, textsMax);
  for (const [index, item] of texts.entries()) checkText(item, `text[${index}]`);
  return texts;
}

/** The check of each item stands apart: here they are still anything. */
function copyList(text: unknown, textsMax: number): readonly string[] {
  let length: number;
  let copy: string[];
  try {
    if (!Array.isArray(text)) throw invalid("`text` must be a text or a list of texts.", "text");
    length = text.length;
    copy = length > textsMax ? [] : Array.from({ length }, (_, index) => text[index]);
  } catch (cause) {
    throw cause instanceof AppError ? cause : invalid("`text` could not be read.", "text", cause);
  }
  if (length === 0) throw new AppError("empty_input", { param: "text" });
  if (length > textsMax) {
    const message = `${length} texts are more than the limit of ${textsMax} for one run.`;
    throw new AppError("too_many_inputs", { param: "text", message });
  }
  return copy;
}

function checkText(text: unknown, param: string): void {
  if (typeof text !== "string") throw invalid("A text must be a string.", param);
  if (!text.isWellFormed()) throw new AppError("invalid_unicode", { param });
}

function readSignal(options: unknown): AbortSignal | undefined {
  if (options === undefined || options === null) return undefined;
  const { signal, returnRawResponse, websocket } = { ...options } as Record<string, unknown>;
  if (returnRawResponse === true || websocket === true) {
    throw new InferenceUpstreamError(invalid("`returnRawResponse` and `websocket` are not supported for embeddings."));
  }
  if (signal === undefined || signal === null) return undefined;
  if (signal instanceof AbortSignal) return signal;
  throw new InferenceUpstreamError(invalid("`signal` must be an AbortSignal.", "signal"));
}

function invalid(message: string, param?: string, cause?: unknown): AppError {
  return new AppError("invalid_request", { message, cause, ...(param !== undefined && { param }) });
}

function toAnswer(result: EmbedResult): AiEmbedding {
  const { rows, dimensions } = result.vectors;
  return {
    shape: [rows, dimensions],
    data: toRows(result.vectors),
    pooling: result.pooling,
    model: result.model,
    tokens: result.tokenCounts,
    truncated: result.truncated,
  };
}

function toRows({ rows, dimensions, data }: EmbedResult["vectors"]): number[][] {
  const lists: number[][] = [];
  for (let start = 0; start < rows * dimensions; start += dimensions) {
    const list: number[] = [];
    for (let at = start; at < start + dimensions; at++) list.push(toFloat32Decimal(data[at] ?? 0));
    lists.push(list);
  }
  return lists;
}
