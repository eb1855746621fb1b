import golden from "../golden/minilm.json" with { type: "json" };

const bytes = Buffer.from(golden.vectors_base64_f32le, "base64");
const all = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));

/** The reference vector of `golden.texts[index]`: sentence-transformers, float32, one text at a time. */
export function goldenVector(index: number): Float32Array {
  return all.subarray(index * golden.dimensions, (index + 1) * golden.dimensions);
}

/** Largest absolute difference of two vectors; NaN and a wrong length count as infinite. */
export function maxAbsDifference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) return Infinity;
  let largest = 0;
  for (let at = 0; at < expected.length; at++) {
    const difference = Math.abs((actual[at] ?? Number.NaN) - (expected[at] ?? Number.NaN));
    if (Number.isNaN(difference)) return Infinity;
    largest = Math.max(largest, difference);
  }
  return largest;
}
