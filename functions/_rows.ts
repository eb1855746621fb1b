import type { RowFormat } from "./_types.ts";

/** A vector as text, for a platform that gives nothing but numbers. */
export function encodeRow(row: readonly number[], format: RowFormat): string {
  return format === "json" ? JSON.stringify(row) : toBase64(row);
}

/** An answer whose JSON is text already. */
export function answerJson(text: string): Response {
  return new Response(text, { headers: { "content-type": "application/json" } });
}

/** Float32, little-endian, as OpenAI sends it. */
function toBase64(row: readonly number[]): string {
  const view = new DataView(new ArrayBuffer(row.length * 4));
  for (const [index, value] of row.entries()) view.setFloat32(index * 4, value, true);
  return btoa(String.fromCharCode(...new Uint8Array(view.buffer)));
}
