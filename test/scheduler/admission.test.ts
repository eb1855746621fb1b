import { describe, expect, test } from "vitest";
import { AwayCalls, retryAfterMs } from "../../runtime/scheduler/retry-after.ts";
import { at, createTestScheduler, play, type Step } from "./script.ts";

const five = [1, 1, 1, 1, 1];

const rows: readonly { readonly rule: string; readonly steps: readonly Step[] }[] = [
  {
    rule: "a call waits where no worker was ever ready, and starts with the first one",
    steps: [[at(0).submit(1, [1])], [at(900).ready("a"), "run 1 on a: 1.0"]],
  },
  {
    rule: "before the first worker, a full queue refuses as starting",
    steps: [
      [at(0).submit(1, five)],
      [at(1).submit(2, five), "reject 2: starting, retry after 2000"],
      [at(2).submit(3, [1, 1, 1])],
    ],
  },
  {
    rule: "Q23: a queue full of inputs refuses the whole call, and takes one that fits",
    steps: [
      [at(0).ready("a")],
      [at(1).submit(1, [1]), "run 1 on a: 1.0"],
      [at(2).submit(2, five)],
      [at(3).submit(3, [1, 1, 1, 1]), "reject 3: queue_full, retry after 2000"],
      [at(4).submit(4, [1, 1, 1])],
    ],
  },
  {
    rule: "Q23: a queue full of tokens refuses the whole call",
    steps: [
      [at(0).ready("a")],
      [at(1).submit(1, [1]), "run 1 on a: 1.0"],
      [at(2).submit(2, [300])],
      [at(3).submit(3, [50, 51]), "reject 3: queue_full, retry after 2000"],
      [at(4).submit(4, [100])],
    ],
  },
  {
    rule: "Q17: a call larger than the whole queue is refused at once",
    steps: [
      [at(0).ready("a")],
      [at(1).submit(1, [401]), "reject 1: queue_full, retry after 2000"],
      [at(2).submit(2, [...five, ...five]), "reject 2: queue_full, retry after 2000"],
    ],
  },
  {
    rule: "W03: calls wait for a restart, old and new ones, and keep their order",
    steps: [
      [at(0).ready("a")],
      [at(1).submit(1, [1]), "run 1 on a: 1.0"],
      [at(2).lost("a")],
      [at(3).submit(2, [1])],
      [at(500).ready("b"), "run 2 on b: 1.0"],
    ],
  },
  {
    rule: "Q13: a call that comes after its deadline is refused",
    steps: [[at(0).ready("a")], [at(5).submit(1, [1], { deadlineAtMs: 5 }), "reject 1: deadline_exceeded, queued"]],
  },
];

test.each(rows)("$rule", ({ steps }) => {
  play(steps);
});

test("a call submitted twice is a bug that throws", () => {
  const scheduler = createTestScheduler();
  scheduler.handle(at(0).submit(1, [1]));
  expect(() => scheduler.handle(at(1).submit(1, [1]))).toThrow("bug of the dispatcher");
});

test("Retry-After of a full queue follows the measured rate and the number of workers", () => {
  const wait = (workers: number): number => {
    const scheduler = createTestScheduler({ queueTokensMax: 2_000 });
    scheduler.handle(at(0).ready("a"));
    scheduler.handle(at(0).submit(1, [100]));
    scheduler.handle(at(1_000).finished(1));
    for (let id = 1; id <= workers; id += 1) {
      if (id > 1) scheduler.handle(at(1_000).ready(`worker ${id}`));
      scheduler.handle(at(1_000).submit(1 + id, [1]));
    }
    scheduler.handle(at(1_000).submit(100, [2_000]));
    const [refusal] = scheduler.handle(at(1_000).submit(101, [1]));
    return refusal?.type === "reject_call" ? refusal.retryAfterMs : Number.NaN;
  };
  // 2,000 tokens at 100 tokens a second.
  expect([wait(1), wait(2)]).toEqual([20_000, 10_000]);
});

describe("Q25: Retry-After stays within 1 s and 60 s", () => {
  const backlogs = [
    { tokens: 0, awayTokens: 0, tokensPerMs: undefined, workers: 0 },
    { tokens: 0, awayTokens: 0, tokensPerMs: Infinity, workers: 1 },
    { tokens: 1_000_000, awayTokens: 0, tokensPerMs: 0.000_01, workers: 1 },
    { tokens: 1_000_000, awayTokens: 0, tokensPerMs: 1, workers: 0 },
    { tokens: 10, awayTokens: 0, tokensPerMs: 1_000, workers: 64 },
  ];
  const chances = [0, 0.25, 0.5, 0.999_999];

  test.each(backlogs)("$tokens tokens, $tokensPerMs a ms, $workers workers", (backlog) => {
    for (const chance of chances) {
      const waitMs = retryAfterMs("queue_full", backlog, () => chance);
      expect(waitMs).toBeGreaterThanOrEqual(1_000);
      expect(waitMs).toBeLessThanOrEqual(60_000);
    }
  });

  test.each(backlogs)("and chance always spreads it: $tokens tokens, $tokensPerMs a ms", (backlog) => {
    const waits = chances.map((chance) => retryAfterMs("queue_full", backlog, () => chance));
    expect(new Set(waits).size).toBe(chances.length);
    expect(Math.max(...waits) / Math.min(...waits)).toBeCloseTo(1.5, 2);
  });
});

test("a poisoned input and a passed deadline carry no retry advice", () => {
  const backlog = { tokens: 9, awayTokens: 0, tokensPerMs: 1, workers: 1 };
  expect(retryAfterMs("poison_input", backlog, () => 0)).toBe(0);
  expect(retryAfterMs("deadline_exceeded", backlog, () => 0)).toBe(0);
});

test("Q27: each refused call is told to come back later than the one before it, so that a storm comes back spread out", () => {
  const backlog = (awayTokens: number): Parameters<typeof retryAfterMs>[1] => ({
    tokens: 100,
    awayTokens,
    tokensPerMs: 0.1,
    workers: 1,
  });
  const waits = [0, 100, 200, 400].map((away) => retryAfterMs("queue_full", backlog(away), () => 0.5));
  expect(waits).toEqual([1_250, 8_000, 16_000, 32_000]);
});

test("calls that were sent away are forgotten once they have had the time to come back", () => {
  const away = new AwayCalls();
  away.add(30, 5_000);
  away.add(20, 1_000);
  expect([0, 1_000, 1_250, 5_249, 5_250].map((atMs) => away.tokensAfter(atMs))).toEqual([50, 50, 30, 30, 0]);
});
