import { createHash } from "node:crypto";

import type { BatchRequest, BatchResult, ModelInfo } from "../../runtime/pool/worker-pool.ts";

export const FAKE_MODEL = "fake-model";
export const FAKE_DIMENSIONS = 8;
const TOKENS_MAX = 256;

export function fakeModelInfo(changes: Partial<ModelInfo> = {}): ModelInfo {
  return {
    model: FAKE_MODEL,
    revision: "fake-revision",
    modelType: "fake",
    dimensions: FAKE_DIMENSIONS,
    maxTokens: TOKENS_MAX,
    pooling: "mean",
    device: "cpu",
    blas: { name: "none", gflops: 0 },
    assumptions: [],
    ...changes,
  };
}

/** A vector that belongs to this text and no other: its SHA-256 as numbers, of length 1, or 2 where not normalised. */
export function fakeVector(text: string, options: { readonly normalize?: boolean } = {}): Float32Array {
  const digest = createHash("sha256").update(text).digest();
  const vector = Float32Array.from({ length: FAKE_DIMENSIONS }, (_, at) => digest.readInt32LE(at * 4) / 2 ** 31);
  const scale = (options.normalize === false ? 2 : 1) / Math.hypot(...vector);
  return vector.map((value) => value * scale);
}

/** What a healthy worker answers; the row of the text `fault:nan_row` has failed. */
export function fakeAnswer(request: BatchRequest): BatchResult {
  const { texts, normalize, pooling } = request;
  const data = new Float32Array(texts.length * FAKE_DIMENSIONS);
  for (const [row, text] of texts.entries()) {
    if (text !== "fault:nan_row") data.set(fakeVector(text, { normalize }), row * FAKE_DIMENSIONS);
  }
  const words = texts.map((text) => text.split(/\s+/).length + 2);
  return {
    vectors: { rows: texts.length, dimensions: FAKE_DIMENSIONS, data },
    tokenCounts: words.map((count) => Math.min(count, TOKENS_MAX)),
    truncatedRows: [...words.keys()].filter((row) => (words[row] ?? 0) > TOKENS_MAX),
    failedRows: [...texts.keys()].filter((row) => texts[row] === "fault:nan_row"),
    computeMs: 1,
    pooling: pooling === "default" ? "mean" : pooling,
  };
}
