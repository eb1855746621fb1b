import type { EmbedCall, Embedder, EmbedResult } from "../../runtime/embedder/embedder.ts";
import { AppError } from "../../runtime/errors.ts";
import type { ModelInfo } from "../../runtime/pool/worker-pool.ts";

export interface MemoryEmbedder extends Embedder {
  /** Every call so far, in order. */
  readonly calls: readonly EmbedCall[];
}

export interface MemoryEmbedderOptions {
  readonly dimensions?: number;
  /** Asked first; its result or failure replaces the vectors. */
  readonly intercept?: (call: EmbedCall) => Promise<EmbedResult> | undefined;
  /** What its model is said to be; without it, not loaded. */
  readonly info?: () => ModelInfo | undefined;
}

export const MODEL = "memory-model";
export const REVISION = "memory-revision";

/** An embedder without a model: the vector of a text depends on that text alone and has length 1. Texts over 20 characters are "cut". */
export function createMemoryEmbedder({ dimensions = 4, intercept, info }: MemoryEmbedderOptions = {}): MemoryEmbedder {
  const calls: EmbedCall[] = [];
  return {
    calls,
    async embed(call) {
      calls.push(call);
      const intercepted = intercept?.(call);
      if (intercepted !== undefined) return intercepted;
      if (call.model.startsWith("unknown")) throw new AppError("model_not_found", { param: "model" });
      return embedResult(call.texts, dimensions);
    },
    models: () => [{ name: MODEL, aliases: [], info: info?.(), stage: "loaded", memoryBytes: 0 }],
  };
}

export function embedResult(texts: readonly string[], dimensions: number): EmbedResult {
  const data = new Float32Array(texts.length * dimensions);
  for (const [index, text] of texts.entries()) data.set(vectorOf(text, dimensions), index * dimensions);
  return {
    model: MODEL,
    revision: REVISION,
    pooling: "mean",
    vectors: { rows: texts.length, dimensions, data },
    tokenCounts: texts.map((text) => text.length + 2),
    truncated: texts.flatMap((text, index) => (text.length > 20 ? [index] : [])),
    queueMs: 3,
    batchMs: 7,
  };
}

export function vectorOf(text: string, dimensions: number): Float32Array {
  let state = 7;
  for (let at = 0; at < text.length; at++) state = (state * 31 + text.charCodeAt(at)) % 99_991;
  const values = Array.from({ length: dimensions }, () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647 - 0.5;
  });
  const length = Math.hypot(...values);
  return Float32Array.from(values, (value) => value / length);
}
