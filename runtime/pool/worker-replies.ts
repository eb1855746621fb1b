import { z } from "zod";

import type { Frame, FrameHead } from "./frames.ts";
import type { BatchRequest, BatchResult, ModelInfo } from "./worker-pool.ts";

export const PROTOCOL = 1;
const BYTES_PER_FLOAT = 4;
const JSON_NUMBER_BYTES_MAX = 16;
const BRACKETS_BYTES = 2;
const NORM_TOLERANCE = 1e-3;

/** The worker sent what the protocol does not allow: nothing it says can be trusted any more. */
export class ProtocolError extends Error {
  override readonly name: string = "ProtocolError";
}

/** A batch as it was sent: what its reply must agree with. */
export interface SentBatch {
  readonly nonce: string;
  readonly request: BatchRequest;
  /** Of each row: those asked for, else the model's own. */
  readonly dimensions: number;
}

const count = z.int().min(0);
const pooling = z.enum(["mean", "cls", "last_token"]);
const readyHead = z.object({
  info: z.object({
    model: z.string(),
    revision: z.string(),
    modelType: z.string(),
    dimensions: z.int().min(1).max(65_536),
    maxTokens: z.int().min(1),
    pooling,
    device: z.string(),
    fast: z.boolean().optional(),
    blas: z.object({ name: z.string(), gflops: z.number().min(0) }),
    prompts: z.array(z.string()),
    defaultPrompt: z.string().nullable(),
    dimensionsAllowed: z.array(z.int().min(1)).nullable(),
    assumptions: z.array(z.string()),
    memoryBytes: z.int().min(1).optional(),
  }),
});
const startFailedHead = z.object({ code: z.string(), message: z.string() });
const replyHead = z.object({ id: count });
const errorHead = z.object({ nonce: z.string(), message: z.string() });
const resultHead = z.object({
  nonce: z.string(),
  rows: count,
  dimensions: count,
  tokenCounts: z.array(count),
  truncatedRows: z.array(count),
  failedRows: z.array(count),
  pooling,
  computeMs: z.number().min(0),
  /** Length of each row's JSON text, which follow the vectors. */
  jsonBytes: z.array(count).optional(),
  residentBytes: count.optional(),
});

/** The model of a worker that says it is ready; call it after `protocolOf`. */
export function readReady(head: FrameHead): ModelInfo {
  return parse(readyHead, head).info;
}

/** Why a worker says it cannot serve, as `code: sentence`. */
export function readStartFailed(head: FrameHead): string {
  const { code, message } = parse(startFailedHead, head);
  return `${code}: ${message}`;
}

/** The batch that a `result` or an `error` belongs to. */
export function readReplyId(head: FrameHead): number {
  return parse(replyHead, head).id;
}

/** The worker's sentence about a batch that gave nothing. */
export function readError(head: FrameHead, sent: SentBatch): string {
  const { nonce, message } = parse(errorHead, head);
  checkNonce(nonce, sent);
  return message;
}

/** The rows of a batch, checked against what was asked; a row that is no usable vector is in `failedRows`, whatever the worker says of it. */
export function readResult({ head, body }: Frame, sent: SentBatch): BatchResult {
  const result = parse(resultHead, head);
  const rows = sent.request.texts.length;
  checkNonce(result.nonce, sent);
  checkEqual("rows", result.rows, rows);
  checkEqual("dimensions", result.dimensions, sent.dimensions);
  const { jsonBytes } = result;
  const vectorBytes = rows * sent.dimensions * BYTES_PER_FLOAT;
  checkEqual("body bytes", body.length, vectorBytes + sum(jsonBytes ?? []));
  if (jsonBytes !== undefined) checkEqual("JSON texts", jsonBytes.length, rows);
  checkEqual("token counts", result.tokenCounts.length, rows);
  checkRowNumbers("truncatedRows", result.truncatedRows, rows);
  checkRowNumbers("failedRows", result.failedRows, rows);
  if (sent.request.pooling !== "default") checkEqual("pooling", result.pooling, sent.request.pooling);

  const vectors = {
    rows,
    dimensions: sent.dimensions,
    data: new Float32Array(body.buffer, 0, rows * sent.dimensions),
    ...(jsonBytes !== undefined && { json: cutTexts(body.subarray(vectorBytes), jsonBytes) }),
  };
  const failed = new Set(result.failedRows);
  for (let row = 0; row < rows; row++) {
    const vector = vectors.data.subarray(row * sent.dimensions, (row + 1) * sent.dimensions);
    if (!failed.has(row) && isUsable(vector, sent.request.normalize)) continue;
    failed.add(row);
    vector.fill(0);
  }
  return {
    vectors,
    tokenCounts: result.tokenCounts,
    truncatedRows: result.truncatedRows,
    failedRows: [...failed].toSorted((a, b) => a - b),
    computeMs: result.computeMs,
    residentBytes: result.residentBytes,
    pooling: result.pooling,
  };
}

/** The answer to a batch is never longer: vectors, and JSON with numbers as long as `-1.1754944e-38` and a comma each. */
export function resultBytesMax(rows: number, dimensions: number): number {
  return rows * (dimensions * (BYTES_PER_FLOAT + JSON_NUMBER_BYTES_MAX) + BRACKETS_BYTES);
}

function cutTexts(texts: Uint8Array, lengths: readonly number[]): readonly Uint8Array[] {
  let end = 0;
  return lengths.map((length) => texts.subarray(end, (end += length)));
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

/** One NaN or infinite value makes the norm NaN or infinite; the sum of squares of float32 cannot overflow a double. */
function isUsable(vector: Float32Array, isNormalized: boolean): boolean {
  let squares = 0;
  for (const value of vector) squares += value * value;
  const norm = Math.sqrt(squares);
  return isNormalized ? Math.abs(norm - 1) <= NORM_TOLERANCE : norm > 0 && norm < Infinity;
}

function parse<T>(schema: z.ZodType<T>, head: FrameHead): T {
  const parsed = schema.safeParse(head);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new ProtocolError(
    `sent a bad ${JSON.stringify(head.type.slice(0, 32))}: ${issue?.path.join(".")}: ${issue?.message}`,
  );
}

function checkNonce(nonce: string, sent: SentBatch): void {
  if (nonce !== sent.nonce) throw new ProtocolError("answered a batch under the number of another");
}

function checkEqual(what: string, actual: number | string, wanted: number | string): void {
  if (actual !== wanted) throw new ProtocolError(`sent ${what} ${actual}, want ${wanted}`);
}

function checkRowNumbers(field: string, numbers: readonly number[], rows: number): void {
  if (new Set(numbers).size !== numbers.length || numbers.some((row) => row >= rows)) {
    throw new ProtocolError(`sent ${field} that are not distinct rows of ${rows}`);
  }
}
