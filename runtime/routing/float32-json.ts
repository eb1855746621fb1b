import { toFloat32Decimal } from "./float32-decimal.ts";

/** A vector as a JSON list in ASCII, for pools whose workers do not write it: the very numbers of `toFloat32Decimal`. */
export function encodeRow(row: Float32Array): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(JSON.stringify(Array.from(row, toFloat32Decimal)));
}
