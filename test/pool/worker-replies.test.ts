import { describe, expect, test } from "vitest";

import type { Frame } from "../../runtime/pool/frames.ts";
import {
  ProtocolError,
  readReady,
  readResult,
  resultBytesMax,
  type SentBatch,
} from "../../runtime/pool/worker-replies.ts";
import { fakeModelInfo } from "../doubles/fake-answer.ts";

const sent: SentBatch = {
  nonce: "0011223344556677",
  dimensions: 2,
  request: { model: "m", pooling: "default", normalize: true, texts: ["a", "b", "c"] },
};

describe("a result", () => {
  test("is given as it came where it agrees with the batch", () => {
    expect(readResult(result([0.6, 0.8, 1, 0, 0, -1], { truncatedRows: [2] }), sent)).toEqual({
      vectors: { rows: 3, dimensions: 2, data: Float32Array.of(0.6, 0.8, 1, 0, 0, -1) },
      tokenCounts: [3, 4, 5],
      truncatedRows: [2],
      failedRows: [],
      computeMs: 1.5,
      pooling: "mean",
    });
  });

  test("keeps the rows that the worker failed, beside those found here, in order (W29, W30)", () => {
    const { failedRows, vectors } = readResult(result([Number.NaN, 1, 1, 0, 0, 0], { failedRows: [2] }), sent);
    expect(failedRows).toEqual([0, 2]);
    expect(vectors.data).toEqual(Float32Array.of(0, 0, 1, 0, 0, 0));
  });

  test.for([
    { what: "an infinite value", row: [Infinity, 0], failed: true },
    { what: "a length of 1.002", row: [1.002, 0], failed: true },
    { what: "a length of 1.0009", row: [1.0009, 0], failed: false },
  ])("of a normalised batch has a row of $what failed: $failed (W30)", ({ row, failed }) => {
    expect(readResult(result([...row, 1, 0, 1, 0]), sent).failedRows).toEqual(failed ? [0] : []);
  });

  test.for([
    { what: "any length", row: [300, -400], failed: false },
    { what: "the largest values there are", row: [3.4e38, 3.4e38], failed: false },
    { what: "zeros", row: [0, 0], failed: true },
    { what: "NaN", row: [Number.NaN, 1], failed: true },
  ])("of a batch that is not normalised has a row of $what failed: $failed (W30)", ({ row, failed }) => {
    const raw = { ...sent, request: { ...sent.request, normalize: false } };
    expect(readResult(result([...row, 1, 0, 1, 0]), raw).failedRows).toEqual(failed ? [0] : []);
  });

  test.for([
    { changes: { nonce: "x" }, error: "answered a batch under the number of another" },
    { changes: { rows: 4 }, error: "sent rows 4, want 3" },
    { changes: { dimensions: 3 }, error: "sent dimensions 3, want 2" },
    { changes: { tokenCounts: [1] }, error: "sent token counts 1, want 3" },
    { changes: { truncatedRows: [3] }, error: "sent truncatedRows that are not distinct rows of 3" },
    { changes: { failedRows: [1, 1] }, error: "sent failedRows that are not distinct rows of 3" },
    { changes: { pooling: "max" }, error: 'sent a bad "result": pooling' },
    { changes: { computeMs: -1 }, error: 'sent a bad "result": computeMs' },
    { changes: { tokenCounts: [1, 2, 0.5] }, error: 'sent a bad "result": tokenCounts.2' },
  ])("is refused where it disagrees: $error (W27, W28, W32)", ({ changes, error }) => {
    const frame = result([1, 0, 1, 0, 1, 0], changes);
    expect(() => readResult(frame, sent)).toThrow(ProtocolError);
    expect(() => readResult(frame, sent)).toThrow(error);
  });

  test("is refused where its body has another size (W28)", () => {
    expect(() => readResult(result([1, 0]), sent)).toThrow("sent body bytes 8, want 24");
  });

  test("brings each row's JSON where the worker wrote it", () => {
    const { vectors } = readResult(withTexts(["[1,0]", "[0,1]", "[-1,0.0]"]), sent);
    expect(vectors.json?.map((text) => new TextDecoder().decode(text))).toEqual(["[1,0]", "[0,1]", "[-1,0.0]"]);
    expect(vectors.data).toEqual(Float32Array.of(1, 0, 0, 1, -1, 0));
  });

  test.for([
    { texts: ["[1,0]", "[0,1]"], error: "sent JSON texts 2, want 3" },
    { texts: ["[1,0]", "[0,1]", "[-1,0]"], jsonBytes: [5, 5, 5], error: "sent body bytes 40, want 39" },
    { texts: [], jsonBytes: [5, 5, -10], error: 'sent a bad "result": jsonBytes.2' },
  ])("is refused where the JSON does not fit: $error (W28)", ({ texts, error, ...changes }) => {
    expect(() => readResult(withTexts(texts, changes), sent)).toThrow(error);
  });

  test("of the longest numbers is no longer than what is let through", () => {
    const row = JSON.stringify(Array.from({ length: 7 }, () => -1.175_494_4e-38));
    expect(resultBytesMax(3, 7)).toBeGreaterThanOrEqual(3 * (7 * 4 + row.length));
  });
});

describe("a ready", () => {
  test("is the model's description, without what nobody knows", () => {
    const info = fakeModelInfo();
    expect(readReady({ type: "ready", protocol: 1, info: { ...info, extra: 1 } })).toEqual(info);
  });

  test("without a dimension is refused", () => {
    expect(() => readReady({ type: "ready", info: fakeModelInfo({ dimensions: 0 }) })).toThrow("info.dimensions");
  });
});

function result(values: readonly number[], changes: object = {}): Frame {
  const fields = { rows: 3, dimensions: 2, tokenCounts: [3, 4, 5], truncatedRows: [], failedRows: [] };
  const head = { type: "result", nonce: sent.nonce, ...fields, pooling: "mean", computeMs: 1.5, ...changes };
  return { head, body: new Uint8Array(Float32Array.from(values).buffer) };
}

function withTexts(texts: readonly string[], changes: object = {}): Frame {
  const { head, body } = result([1, 0, 0, 1, -1, 0], { jsonBytes: texts.map(({ length }) => length), ...changes });
  const json = new TextEncoder().encode(texts.join(""));
  const whole = new Uint8Array(body.length + json.length);
  whole.set(body);
  whole.set(json, body.length);
  return { head, body: whole };
}
