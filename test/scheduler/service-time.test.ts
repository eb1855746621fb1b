import { expect, test } from "vitest";
import { ServiceTime } from "../../runtime/scheduler/service-time.ts";

test("nothing is known before the first batch", () => {
  const serviceTime = new ServiceTime();
  expect(serviceTime.expectedMs(10, 0)).toBeUndefined();
  expect(serviceTime.tokensPerMs()).toBeUndefined();
});

test("a batch of a size that is not known is expected to take its share of the nearest that is", () => {
  const serviceTime = new ServiceTime();
  serviceTime.batchFinished({ atMs: 100, durationMs: 100, tokens: 200 });
  expect(serviceTime.expectedMs(200, 100)).toBe(100);
  expect(serviceTime.expectedMs(20, 100)).toBe(10);
});

test("a later batch moves the averages by a fifth", () => {
  const serviceTime = new ServiceTime();
  serviceTime.batchFinished({ atMs: 100, durationMs: 100, tokens: 200 });
  serviceTime.batchFinished({ atMs: 300, durationMs: 200, tokens: 200 });
  expect(serviceTime.expectedMs(200, 300)).toBe(120);
  expect(serviceTime.tokensPerMs()).toBeCloseTo(200 / 120);
});

test("the expectation goes stale, the rate stays the best guess there is", () => {
  const serviceTime = new ServiceTime();
  serviceTime.batchFinished({ atMs: 100, durationMs: 100, tokens: 200 });
  expect(serviceTime.expectedMs(200, 1_100)).toBe(100);
  expect(serviceTime.expectedMs(200, 1_101)).toBeUndefined();
  expect(serviceTime.tokensPerMs()).toBe(2);
});

test("slow batches keep the expectation alive for three times as long as they take", () => {
  const serviceTime = new ServiceTime();
  serviceTime.batchFinished({ atMs: 5_000, durationMs: 5_000, tokens: 10 });
  expect(serviceTime.expectedMs(10, 20_000)).toBe(5_000);
  expect(serviceTime.expectedMs(10, 20_001)).toBeUndefined();
});

test("after a pause the next batch replaces the averages", () => {
  const serviceTime = new ServiceTime();
  serviceTime.batchFinished({ atMs: 100, durationMs: 900, tokens: 200 });
  serviceTime.batchFinished({ atMs: 9_000, durationMs: 10, tokens: 20 });
  expect(serviceTime.expectedMs(20, 9_000)).toBe(10);
});

test("between two sizes that are known the expectation follows the line", () => {
  const serviceTime = new ServiceTime();
  serviceTime.batchFinished({ atMs: 100, durationMs: 5, tokens: 14 });
  serviceTime.batchFinished({ atMs: 200, durationMs: 85, tokens: 454 });
  expect([14, 234, 454, 908].map((tokens) => serviceTime.expectedMs(tokens, 200))).toEqual([5, 45, 85, 170]);
});

test("sizes are learnt apart: many small batches do not hide what large ones cost", () => {
  const serviceTime = new ServiceTime();
  serviceTime.batchFinished({ atMs: 0, durationMs: 100, tokens: 500 });
  for (let atMs = 1; atMs < 500; atMs++) serviceTime.batchFinished({ atMs, durationMs: 5, tokens: 14 });
  expect(serviceTime.expectedMs(500, 500)).toBe(100);
});

test("what fits into a time comes from the largest batch that took no longer", () => {
  const serviceTime = new ServiceTime();
  expect(serviceTime.tokensWithin(250)).toBe(Infinity);
  serviceTime.batchFinished({ atMs: 100, durationMs: 5, tokens: 14 });
  serviceTime.batchFinished({ atMs: 200, durationMs: 100, tokens: 512 });
  serviceTime.batchFinished({ atMs: 900, durationMs: 500, tokens: 2_048 });
  expect([250, 1_000, 1].map((ms) => serviceTime.tokensWithin(ms))).toEqual([1_280, 4_096, 2.8]);
});

test("within 15 % of what batches take whose cost is neither fixed nor even, over all sizes from 8 to 2,048 tokens", () => {
  // A small BERT on a core: few tokens need not pack the weights.
  const costMs = (tokens: number): number => (tokens < 32 ? 1 : 3) + tokens * 0.16;
  const serviceTime = new ServiceTime();
  let state = 7;
  const draw = (): number => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
  const batch = (): number => Math.round(8 * 256 ** draw());
  for (let atMs = 0; atMs < 3_000; atMs++) {
    const tokens = batch();
    const noise = 1 + 0.1 * (draw() - 0.5);
    serviceTime.batchFinished({ atMs, durationMs: costMs(tokens) * noise, tokens });
  }
  const errors = Array.from({ length: 500 }, () => {
    const tokens = batch();
    return Math.abs((serviceTime.expectedMs(tokens, 3_000) ?? 0) / costMs(tokens) - 1);
  });
  expect(Math.max(...errors)).toBeLessThan(0.15);
});
