import type { AiBinding, AiEmbedding, AiModel, AiOptions, AiTextInput } from "../../functions/_types.ts";
import type { EmbedCall, Embedder, EmbedResult } from "../embedder/embedder.ts";
import { AppError } from "../errors.ts";
import type { Caller } from "./caller.ts";
import { toAnswer } from "./ai-answer.ts";
import { listModels } from "./ai-models.ts";
import type { AiScope } from "./ai-scope.ts";
import { toAppError } from "./error-response.ts";
import { InferenceUpstreamError, upstreamCodeOf } from "./upstream-error.ts";
import { readTextOptions } from "./text-options.ts";

export interface AiLimits {
  /** Texts of one run. */
  readonly textsMax: number;
}

/** `env.AI` over an embedder, with the contract of Workers AI's own class for text embeddings. */
export function bindAi(embedder: Embedder, scope: AiScope, limits: AiLimits): AiBinding {
  return new Ai(embedder, scope, limits);
}

/** What `run` of Workers AI is asked, from wherever: still unchecked. */
export interface AiRun {
  readonly model: unknown;
  readonly input: unknown;
  readonly deadlineAtMs: number;
  readonly signal: AbortSignal;
  readonly caller?: Caller | undefined;
}

/** Checks what is asked and embeds it. Rejects with an AppError. */
export async function embedForAi(
  embedder: Embedder,
  { model, input, deadlineAtMs, signal, caller = {} }: AiRun,
  { textsMax }: AiLimits,
): Promise<EmbedResult> {
  let giveBack = (): void => {};
  try {
    const call = readCall(model, input, textsMax);
    const { tenant, priority, allowance } = caller;
    giveBack = allowance?.take(call.texts.length) ?? giveBack;
    return await embedder.embed({ ...call, deadlineAtMs, signal, tenant, priority });
  } catch (thrown) {
    throw toAppError(thrown, "internal_error");
  } finally {
    giveBack();
  }
}

/** Runs of one invocation that may be open at once: a function that fans out without bound must not fill the queue alone. */
const OPEN_RUNS_MAX = 64;

class Ai implements AiBinding {
  /** The invocation's own id, which the log has. */
  lastRequestId: string | null = null;
  /** Always null: it belongs to Cloudflare's AI Gateway. */
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
      const run = {
        model,
        input,
        deadlineAtMs: this.#scope.deadlineAtMs(),
        caller: this.#scope.caller,
        signal: signal === undefined ? this.#scope.signal : AbortSignal.any([this.#scope.signal, signal]),
      };
      const result = await embedForAi(this.#embedder, run, this.#limits);
      this.#scope.embedded(result);
      this.#note(200);
      return toAnswer(result);
    } catch (thrown) {
      // As `fetch` does, which the genuine class hands the signal to.
      signal?.throwIfAborted();
      const error = toAppError(thrown, "internal_error");
      this.#note(upstreamCodeOf(error).httpStatus);
      throw new InferenceUpstreamError(error);
    } finally {
      this.#openRuns--;
    }
  }

  async models({ search }: { readonly search?: string } = {}): Promise<readonly AiModel[]> {
    return listModels(this.#embedder.models(), search);
  }

  #note(httpStatus: number): void {
    this.lastRequestId = this.#scope.id;
    this.lastRequestHttpStatusCode = httpStatus;
  }
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
