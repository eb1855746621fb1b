import { AppError } from "../errors.ts";
import type { ModelInfo, Pooling, TextOptions, VectorBlock } from "../pool/worker-pool.ts";
import type { Priority } from "../scheduler/events.ts";
import type { Dispatcher } from "./dispatcher.ts";
import type { ModelNames } from "./model-names.ts";
import type { ModelStage } from "../scheduler/events.ts";
import { asksOfModel, checkTextOptions } from "./text-options.ts";
import { createTokenCost, type TokenCost } from "./token-cost.ts";

export interface Embedder {
  /** Embeds every text of one call or rejects with one AppError; an abort drops the call, while a batch already running finishes unseen. */
  embed(call: EmbedCall): Promise<EmbedResult>;
  /** The models a call may name, aliases included. */
  models(): readonly ServedModel[];
}

export interface ServedModel {
  readonly name: string;
  /** Other names for it. */
  readonly aliases: readonly string[];
  /** Undefined until a worker has loaded it; kept when it is unloaded. */
  readonly info: ModelInfo | undefined;
  /** Whether it is in memory. A cold one is loaded by the first call for it. */
  readonly stage: ModelStage;
  /** Of all its workers; 0 while it is cold. */
  readonly memoryBytes: number;
}

export interface EmbedCall extends TextOptions {
  /** A model's name or an alias of it. */
  readonly model: string;
  readonly texts: readonly string[];
  /** Undefined: what the model's own files say. */
  readonly pooling?: Pooling | undefined;
  readonly normalize: boolean;
  /** On the host's Clock. */
  readonly deadlineAtMs: number;
  readonly signal: AbortSignal;
  /** Tenants share the workers token for token; undefined: the one tenant of a host that knows none. */
  readonly tenant?: string | undefined;
  /** Undefined: interactive, which goes before bulk. */
  readonly priority?: Priority | undefined;
}

/** `vectors` has shape [texts, dimensions]. */
export interface EmbedResult {
  /** The model that ran, never an alias. */
  readonly model: string;
  /** Of that model: the commit it was pulled at, or a hash of its weights. */
  readonly revision: string;
  readonly pooling: Pooling;
  readonly vectors: VectorBlock;
  /** Tokens of each text after truncation, special tokens counted. */
  readonly tokenCounts: readonly number[];
  /** Indexes of the texts that were cut to the model's token limit. */
  readonly truncated: readonly number[];
  /** Admission to the start of the first batch. */
  readonly queueMs: number;
  /** Start of the first batch to the end of the last. */
  readonly batchMs: number;
}

export interface EmbedderLimits {
  /** Inputs of one call: more would never fit into the queue. */
  readonly callInputsMax: number;
  /** UTF-8 bytes of one text: bounds the time of a tokenizer. */
  readonly textBytesMax: number;
}

export interface EmbedderOptions {
  readonly dispatcher: Pick<Dispatcher, "submit">;
  readonly names: ModelNames;
  /** What a worker has told of a model, once one has loaded it. */
  readonly info: (model: string) => ModelInfo | undefined;
  /** The models under their own names, the default first. */
  readonly served: () => readonly Omit<ServedModel, "aliases">[];
  readonly limits: EmbedderLimits;
}

/** Tokens assumed for a prompt of the model's own, whose text is in the worker alone. */
const NAMED_PROMPT_TOKENS = 16;
/** Tokens assumed as the longest input until a worker has told the model's limit. */
const TOKENS_MAX_UNTIL_KNOWN = 512;

export function createEmbedder({ dispatcher, names, info: infoOf, served, limits }: EmbedderOptions): Embedder {
  const costs = new Map<string, TokenCost>();
  let calls = 0;

  /** What a model can do, as one of its workers tells: a call for an empty text waits until there is one. */
  async function learn(call: EmbedCall, model: string): Promise<ModelInfo | undefined> {
    const { deadlineAtMs, signal, tenant, priority } = call;
    const first = { model, texts: [""], inputTokens: [1], pooling: "default", normalize: true } as const;
    await dispatcher.submit({ ...first, deadlineAtMs, signal, tenant, priority });
    return infoOf(model);
  }

  return {
    async embed(call) {
      const model = names.resolve(call.model);
      checkTexts(call.texts, limits);
      const cost = costs.get(model) ?? createTokenCost();
      costs.set(model, cost);
      const info = infoOf(model) ?? (asksOfModel(call) ? await learn(call, model) : undefined);
      checkTextOptions(call, info, limits.textBytesMax);
      const tokensMax = info?.maxTokens ?? TOKENS_MAX_UNTIL_KNOWN;
      const { texts, prompt = "", promptName, pooling = "default" } = call;
      const promptTokens = promptName === undefined ? 0 : NAMED_PROMPT_TOKENS;
      const inputTokens = texts.map((text) =>
        Math.min(tokensMax, cost.estimate(prompt + text, tokensMax) + promptTokens),
      );
      const result = await dispatcher.submit({ ...call, model, pooling, inputTokens });
      // One text of each call: a second look at all of them would cost more than it teaches.
      const index = calls++ % texts.length;
      // A count that a limit has cut says nothing about the text behind the cut, nor does one with a prompt unseen here.
      const isWhole = promptName === undefined && !result.truncated.includes(index);
      if (isWhole) cost.learn(prompt + (texts[index] ?? ""), result.tokenCounts[index] ?? 0);
      const { data, json, dimensions, ...facts } = result;
      return { model, vectors: { rows: texts.length, dimensions, data, json }, ...facts };
    },
    models: () => served().map((model) => ({ ...model, aliases: names.aliasesOf(model.name) })),
  };
}

function checkTexts(texts: readonly string[], limits: EmbedderLimits): void {
  if (texts.length === 0) throw new AppError("empty_input", { param: "text" });
  if (texts.length > limits.callInputsMax) {
    const message = `${texts.length} texts in one call; the limit is ${limits.callInputsMax}.`;
    throw new AppError("too_many_inputs", { param: "text", message });
  }
  for (const [index, text] of texts.entries()) {
    if (exceedsBytes(text, limits.textBytesMax)) {
      const message = `The text has more than ${limits.textBytesMax} bytes, which is the limit.`;
      throw new AppError("input_too_long", { param: `text[${index}]`, message });
    }
    if (!text.isWellFormed()) throw new AppError("invalid_unicode", { param: `text[${index}]` });
  }
}

/** A code unit takes one to three bytes, so most texts need no counting. */
function exceedsBytes(text: string, bytesMax: number): boolean {
  return text.length > bytesMax || (text.length * 3 > bytesMax && new TextEncoder().encode(text).byteLength > bytesMax);
}
