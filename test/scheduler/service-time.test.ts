import { expect, test } from "vitest";
import { ServiceTime } from "../../runtime/scheduler/service-time.ts";

test("nothing is known before the first batch", () => {
  const serviceTime = new ServiceTime();
  expect(serviceTime.expectedMs(10, 0)).toBeUndefined();
  expect(serviceTime.tokensPerMs()).toBeUndefined();
});

test("a batch is expected to take its share of the average, by padded tokens", () => {
  const serviceTime = new ServiceTime();
  serviceTime.batchFinished({ atMs: 100, durationMs: 100, tokens: 150, paddedTokens: 200 });
  expect(serviceTime.expectedMs(200, 100)).toBe(100);
  expect(serviceTime.expectedMs(20, 100)).toBe(10);
});

test("a later batch moves the averages by a fifth", () => {
  const serviceTime = new ServiceTime();
  serviceTime.batchFinished({ atMs: 100, durationMs: 100, tokens: 200, paddedTokens: 200 });
  serviceTime.batchFinished({ atMs: 300, durationMs: 200, tokens: 200, paddedTokens: 200 });
  expect(serviceTime.expectedMs(200, 300)).toBe(120);
  expect(serviceTime.tokensPerMs()).toBeCloseTo(200 / 120);
});

test("the expectation goes stale, the rate stays the best guess there is", () => {
  const serviceTime = new ServiceTime();
  serviceTime.batchFinished({ atMs: 100, durationMs: 100, tokens: 200, paddedTokens: 200 });
  expect(serviceTime.expectedMs(200, 1_100)).toBe(100);
  expect(serviceTime.expectedMs(200, 1_101)).toBeUndefined();
  expect(serviceTime.tokensPerMs()).toBe(2);
});

test("slow batches keep the expectation alive for three times as long as they take", () => {
  const serviceTime = new ServiceTime();
  serviceTime.batchFinished({ atMs: 5_000, durationMs: 5_000, tokens: 10, paddedTokens: 10 });
  expect(serviceTime.expectedMs(10, 20_000)).toBe(5_000);
  expect(serviceTime.expectedMs(10, 20_001)).toBeUndefined();
});

test("after a pause the next batch replaces the averages", () => {
  const serviceTime = new ServiceTime();
  serviceTime.batchFinished({ atMs: 100, durationMs: 900, tokens: 200, paddedTokens: 200 });
  serviceTime.batchFinished({ atMs: 9_000, durationMs: 10, tokens: 20, paddedTokens: 20 });
  expect(serviceTime.expectedMs(20, 9_000)).toBe(10);
});
