import { expect, test } from "vitest";

import { attemptAfterLoss, restartDelayMs } from "../../runtime/pool/restart-backoff.ts";

test("waits 0.1 s, then twice as long each time, and never more than 30 s", () => {
  const delays = Array.from({ length: 12 }, (_, attempt) => restartDelayMs(attempt, 0));
  expect(delays).toEqual([100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000, 30_000, 30_000]);
});

test("still waits 30 s after the ten thousandth try, and where hurry is useless", () => {
  expect([restartDelayMs(10_000, 0), restartDelayMs(Infinity, 0)]).toEqual([30_000, 30_000]);
});

test("takes off up to a quarter by chance", () => {
  expect([restartDelayMs(0, 0.5), restartDelayMs(0, 1)]).toEqual([87.5, 75]);
});

test("forgets the past after a minute of health, and not before", () => {
  expect([attemptAfterLoss(7, 59_999), attemptAfterLoss(7, 60_000)]).toEqual([7, 0]);
});
