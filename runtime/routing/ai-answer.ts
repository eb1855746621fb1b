import type { AiEmbedding } from "../../functions/_types.ts";
import type { EmbedResult } from "../embedder/embedder.ts";
import { toFloat32Decimal } from "./float32-decimal.ts";
import { encodeRows } from "./float32-json.ts";

/** The answer of Workers AI, with our additions. */
export function toAnswer(result: EmbedResult): AiEmbedding {
  return { ...toFacts(result), data: toRows(result.vectors) };
}

/** The same as JSON in UTF-8; the numbers are written from the vectors directly. */
export function encodeAnswer(result: EmbedResult): Uint8Array<ArrayBuffer> {
  const { rows, data } = result.vectors;
  const facts = new TextEncoder().encode(`${JSON.stringify(toFacts(result)).slice(0, -1)},"data":`);
  const matrix = encodeRows(data, rows);
  const whole = new Uint8Array(facts.byteLength + matrix.byteLength + 1);
  whole.set(facts);
  whole.set(matrix, facts.byteLength);
  whole[whole.byteLength - 1] = CLOSING_BRACE;
  return whole;
}

const CLOSING_BRACE = 125;

function toFacts(result: EmbedResult): Omit<AiEmbedding, "data"> {
  const { rows, dimensions } = result.vectors;
  return {
    shape: [rows, dimensions],
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
