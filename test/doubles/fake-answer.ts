import { createHash } from "node:crypto";

import type { BatchRequest, BatchResult, ModelInfo } from "../../runtime/pool/worker-pool.ts";

export const FAKE_MODEL = "fake-model";
export const FAKE_DIMENSIONS = 8;
/** By name. */
const FAKE_PROMPTS: Readonly<Record<string, string>> = { query: "query: ", document: "title: none | text: " };
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
    prompts: Object.keys(FAKE_PROMPTS),
    defaultPrompt: null,
    dimensionsAllowed: null,
    assumptions: [],
    ...changes,
  };
}

/** A vector that belongs to this text and no other: the first numbers of its SHA-256, of length 1, or 2 where not normalised. */
export function fakeVector(
  text: string,
  { dimensions = FAKE_DIMENSIONS, ...options }: { readonly normalize?: boolean; readonly dimensions?: number } = {},
): Float32Array {
  const digest = createHash("sha256").update(text).digest();
  const vector = Float32Array.from({ length: dimensions }, (_, at) => digest.readInt32LE(at * 4) / 2 ** 31);
  const scale = (options.normalize === false ? 2 : 1) / Math.hypot(...vector);
  return vector.map((value) => value * scale);
}

/** What a healthy worker answers; the row of the text `fault:nan_row` has failed. */
export function fakeAnswer(request: BatchRequest): BatchResult {
  const { texts, normalize, pooling, dimensions = FAKE_DIMENSIONS } = request;
  const prompt = request.prompt ?? FAKE_PROMPTS[request.promptName ?? ""] ?? "";
  const data = new Float32Array(texts.length * dimensions);
  for (const [row, text] of texts.entries()) {
    if (text !== "fault:nan_row") data.set(fakeVector(prompt + text, { normalize, dimensions }), row * dimensions);
  }
  const words = texts.map((text) => text.split(/\s+/).length + 2);
  return {
    vectors: { rows: texts.length, dimensions, data },
    tokenCounts: words.map((count) => Math.min(count, TOKENS_MAX)),
    truncatedRows: [...words.keys()].filter((row) => (words[row] ?? 0) > TOKENS_MAX),
    failedRows: [...texts.keys()].filter((row) => texts[row] === "fault:nan_row"),
    computeMs: 1,
    pooling: pooling === "default" ? "mean" : pooling,
  };
}

/** Shape [rows, dimensions] as nested lists. */
export function rows(data: Float32Array, dimensions: number): number[][] {
  return Array.from({ length: data.length / dimensions }, (_, row) => [
    ...data.subarray(row * dimensions, (row + 1) * dimensions),
  ]);
}
