import type { AiEmbedding } from "../../functions/_types.ts";
import type { EmbedResult } from "../embedder/embedder.ts";
import { toFloat32Decimal } from "./float32-decimal.ts";
import { encodeRow } from "./float32-json.ts";

/** The answer of Workers AI, with our additions. Its numbers are made when somebody looks at them; most answers are text. */
export function toAnswer(result: EmbedResult): AiEmbedding {
  const { vectors } = result;
  let rows: number[][] | undefined;
  const answer = {
    ...toFacts(result),
    get data() {
      return (rows ??= toRows(vectors));
    },
  };
  const encode: AiEmbedding["encode"] = (format) =>
    format === "json" ? jsonRows(vectors).map((row) => row.toString("latin1")) : base64Rows(vectors);
  // Not enumerable: what is not data gets into no JSON and no clone.
  return Object.defineProperty(answer, "encode", { value: encode });
}

/** The same as JSON in UTF-8. */
export function encodeAnswer(result: EmbedResult): Uint8Array<ArrayBuffer> {
  const pieces: Buffer[] = [Buffer.from(`${JSON.stringify(toFacts(result)).slice(0, -1)},"data":[`)];
  for (const [index, row] of jsonRows(result.vectors).entries()) {
    if (index > 0) pieces.push(COMMA);
    pieces.push(row);
  }
  pieces.push(END);
  return Buffer.concat(pieces);
}

const COMMA = Buffer.from(",");
const END = Buffer.from("]}");

function toFacts(result: EmbedResult): Omit<AiEmbedding, "data" | "encode"> {
  const { rows, dimensions } = result.vectors;
  return {
    shape: [rows, dimensions],
    pooling: result.pooling,
    model: result.model,
    revision: result.revision,
    tokens: result.tokenCounts,
    truncated: result.truncated,
  };
}

/** As the worker wrote them; here where it did not. */
function jsonRows(vectors: EmbedResult["vectors"]): readonly Buffer[] {
  return rowsOf(vectors).map((row, index) => bufferOver(vectors.json?.[index] ?? encodeRow(row)));
}

/** Little-endian, as OpenAI sends float32. */
function base64Rows(vectors: EmbedResult["vectors"]): readonly string[] {
  return rowsOf(vectors).map((row) => bufferOver(row).toString("base64"));
}

function toRows(vectors: EmbedResult["vectors"]): number[][] {
  return rowsOf(vectors).map((row) => {
    const list: number[] = [];
    for (let at = 0; at < row.length; at++) list.push(toFloat32Decimal(row[at] ?? 0));
    return list;
  });
}

function rowsOf({ rows, dimensions, data }: EmbedResult["vectors"]): readonly Float32Array[] {
  return Array.from({ length: rows }, (_, row) => data.subarray(row * dimensions, (row + 1) * dimensions));
}

function bufferOver({ buffer, byteOffset, byteLength }: ArrayBufferView): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}
