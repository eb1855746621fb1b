import { expect, test } from "vitest";
import { createWorkerHealth } from "../../runtime/pool/worker-health.ts";
import type { BatchResult } from "../../runtime/pool/worker-pool.ts";

const GIB = 2 ** 30;

function result(changes: Partial<BatchResult> = {}): BatchResult {
  const vectors = { rows: 1, dimensions: 1, data: new Float32Array(1) };
  const rest = { truncatedRows: [], failedRows: [], pooling: "mean" } as const;
  return { vectors, ...rest, tokenCounts: [100], computeMs: 15, residentBytes: GIB / 2, ...changes };
}

const watch = (watchesTime = true) => createWorkerHealth({ memoryBytesMax: GIB, watchesTime });

test("a worker within its memory and as fast as ever is well", () => {
  const health = watch();
  for (let batch = 0; batch < 1_000; batch++) expect(health.finished(result())).toBeUndefined();
});

test("a worker that holds more than it may is unwell, with both numbers (W39)", () => {
  expect(watch().finished(result({ residentBytes: 1.5 * GIB }))).toBe("holds 1536 MiB, more than 1024");
});

test("a worker whose memory nobody knows is well", () => {
  expect(watch().finished(result({ residentBytes: undefined }))).toBeUndefined();
});

test("a worker that takes one per cent more time with each batch is unwell at three times its best (W38)", () => {
  const health = watch();
  let batches = 0;
  let computeMs = 15;
  let reason: string | undefined;
  while (reason === undefined && batches < 500) {
    reason = health.finished(result({ computeMs }));
    computeMs *= 1.01;
    batches++;
  }
  expect(reason).toMatch(/^has become 3\.\d times as slow as it was$/);
  // ln 3 / ln 1.01 is 110; the mean is behind by half of its 50 batches.
  expect(batches).toBeGreaterThan(110);
  expect(batches).toBeLessThan(220);
});

test("one slow batch among others is no reason (W38)", () => {
  const health = watch();
  for (let batch = 0; batch < 200; batch++) health.finished(result());
  expect(health.finished(result({ computeMs: 300 }))).toBeUndefined();
});

test("short texts after long ones are not taken for slowness (W38)", () => {
  const health = watch();
  // As measured: 54 ms for 384 tokens, 2.4 ms for a single text of 6.
  for (let batch = 0; batch < 200; batch++) health.finished(result({ tokenCounts: [384], computeMs: 54 }));
  for (let batch = 0; batch < 200; batch++) {
    expect(health.finished(result({ tokenCounts: [6], computeMs: 2.4 }))).toBeUndefined();
  }
});

test("time is not watched where it says nothing (W38)", () => {
  const health = watch(false);
  for (let batch = 0; batch < 200; batch++) {
    expect(health.finished(result({ computeMs: 15 + batch }))).toBeUndefined();
  }
});

test("three failed batches in a row are a reason, and a good one between them starts anew (W40)", () => {
  const health = watch();
  expect([health.failed(), health.failed()]).toEqual([undefined, undefined]);
  health.finished(result());
  expect([health.failed(), health.failed(), health.failed()]).toEqual([
    undefined,
    undefined,
    "failed 3 batches in a row",
  ]);
});
