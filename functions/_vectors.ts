import type { Embedded } from "./_texts.ts";
import type { RowFormat } from "./_types.ts";

/** How the numbers of a vector may be written; all but "float" are bytes. */
export type VectorType = "float" | "int8" | "uint8" | "binary" | "ubinary";

type Row = readonly number[];

/** Each vector as JSON, in numbers of this type. Float32 is as the platform writes it; "base64" of the others is their bytes. */
export function writeRows(result: Embedded, type: VectorType, format: RowFormat): readonly string[] {
  const rows = type === "float" ? result.encode(format) : result.rows().map((row) => write(toType(row, type), format));
  return format === "base64" ? rows.map((row) => `"${row}"`) : rows;
}

function write(numbers: Row, format: RowFormat): string {
  return format === "json" ? JSON.stringify(numbers) : btoa(String.fromCharCode(...Uint8Array.from(numbers)));
}

function toType(row: Row, type: Exclude<VectorType, "float">): Row {
  switch (type) {
    case "int8":
      return toInt8(row);
    case "uint8":
      return toInt8(row).map((value) => value + 128);
    case "binary":
      return toBits(row).map((value) => value - 128);
    case "ubinary":
      return toBits(row);
  }
}

/** Numbers beyond so many standard deviations of a vector of length 1 are cut. */
const DEVIATIONS_MAX = 8;

/**
 * One scale for all vectors of a model, so that they compare among each other by cosine and by dot product alike.
 *
 * Hosted models scale by the ranges of their training texts, which nobody has here; the numbers of a unit vector deviate by
 * 1/√dimensions.
 */
function toInt8(row: Row): Row {
  const scale = (127 * Math.sqrt(row.length)) / DEVIATIONS_MAX;
  return row.map((value) => Math.max(-128, Math.min(127, Math.round(value * scale))));
}

/** One bit per number, 1 where it is positive, the first one the highest of its byte: `numpy.packbits(vector > 0)`. */
function toBits(row: Row): Row {
  const bytes = Array.from({ length: Math.ceil(row.length / 8) }, () => 0);
  for (const [index, value] of row.entries()) {
    if (value > 0) bytes[index >> 3] = (bytes[index >> 3] ?? 0) | (128 >> (index & 7));
  }
  return bytes;
}
