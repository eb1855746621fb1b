import { describe, expect, test } from "vitest";
import { cutFromHead, type WaitingInput } from "../../runtime/scheduler/batch-policy.ts";
import { at, play, type Step } from "./script.ts";

const budget = { inputsMax: 4, paddedTokensMax: 100 };

function waiting(...tokens: readonly number[]): WaitingInput[] {
  return tokens.map((each) => ({ tokens: each, batchKey: "k", shareMax: Infinity, passedOver: 0 }));
}

interface Cut {
  readonly count: number;
  readonly paddedTokens: number;
  readonly full: boolean;
}

const cuts: readonly { readonly rule: string; readonly inputs: readonly WaitingInput[]; readonly cut: Cut }[] = [
  {
    rule: "takes all that waits, and is open to more",
    inputs: waiting(5, 7),
    cut: { count: 2, paddedTokens: 14, full: false },
  },
  {
    rule: "stops at the most inputs",
    inputs: waiting(1, 1, 1, 1, 1),
    cut: { count: 4, paddedTokens: 4, full: true },
  },
  {
    rule: "is full with exactly the most inputs",
    inputs: waiting(1, 1, 1, 1),
    cut: { count: 4, paddedTokens: 4, full: true },
  },
  {
    rule: "counts padding: longest × count",
    inputs: waiting(10, 40, 10),
    cut: { count: 2, paddedTokens: 80, full: true },
  },
  {
    rule: "may use the budget to the last token",
    inputs: waiting(25, 25, 25, 25),
    cut: { count: 4, paddedTokens: 100, full: true },
  },
  {
    rule: "takes a head over the budget alone, so that it cannot block the queue",
    inputs: waiting(500, 1),
    cut: { count: 1, paddedTokens: 500, full: true },
  },
  {
    rule: "does not reach past an input that does not fit for one that would",
    inputs: waiting(30, 60, 1),
    cut: { count: 1, paddedTokens: 30, full: true },
  },
  {
    rule: "stops at another key",
    inputs: [...waiting(1), { tokens: 1, batchKey: "other", shareMax: Infinity, passedOver: 0 }, ...waiting(1)],
    cut: { count: 1, paddedTokens: 1, full: true },
  },
  {
    rule: "keeps suspects from others behind them",
    inputs: [{ tokens: 1, batchKey: "k", shareMax: 2, passedOver: 0 }, ...waiting(1)],
    cut: { count: 1, paddedTokens: 1, full: true },
  },
  {
    rule: "keeps others from suspects behind them",
    inputs: [...waiting(1), { tokens: 1, batchKey: "k", shareMax: 2, passedOver: 0 }],
    cut: { count: 1, paddedTokens: 1, full: true },
  },
  {
    rule: "runs suspects in groups of the size they may have",
    inputs: waiting(1, 1, 1).map((input) => ({ ...input, shareMax: 2 })),
    cut: { count: 2, paddedTokens: 2, full: true },
  },
];

describe("a batch cut from the head", () => {
  test.each(cuts)("$rule", ({ inputs, cut: { count, paddedTokens, full } }) => {
    expect(cutFromHead(inputs, budget)).toEqual({
      inputs: inputs.slice(0, count),
      tokens: inputs.slice(0, count).reduce((sum, { tokens }) => sum + tokens, 0),
      paddedTokens,
      full,
    });
  });

  test("is bounded by the sum of its tokens too", () => {
    const inputs = waiting(30, 10, 10, 10);
    const cut = (tokensMax: number): object => {
      const { inputs: taken, full } = cutFromHead(inputs, { inputsMax: 8, paddedTokensMax: 1_000, tokensMax });
      return { count: taken.length, full };
    };
    expect([20, 49, 50, 60].map(cut)).toEqual([
      { count: 1, full: true },
      { count: 2, full: true },
      { count: 3, full: true },
      { count: 4, full: false },
    ]);
  });
});

const rows: readonly { readonly rule: string; readonly steps: readonly Step[] }[] = [
  {
    rule: "a batch holds inputs of many calls, in order of arrival",
    steps: [
      [at(0).submit(1, [1, 1])],
      [at(1).submit(2, [1])],
      [at(2).submit(3, [1, 1])],
      [at(3).ready("a"), "run 1 on a: 1.0 1.1 2.0 3.0"],
      [at(9).finished(1), "complete 1", "complete 2", "run 2 on a: 3.1"],
      [at(12).finished(2), "complete 3"],
    ],
  },
  {
    rule: "Q15: small calls do not pass a big one",
    steps: [
      [at(0).ready("a")],
      [at(0).submit(1, [90]), "run 1 on a: 1.0"],
      [at(1).submit(2, [90, 90])],
      [at(2).submit(3, [1])],
      [at(10).finished(1), "complete 1", "run 2 on a: 2.0"],
      [at(20).finished(2), "run 3 on a: 2.1"],
      [at(30).finished(3), "complete 2", "run 4 on a: 3.0"],
    ],
  },
  {
    rule: "Q16: a small call waits for one batch of a big one per permit, not for all of it to end",
    steps: [
      [at(0).submit(1, [1, 1, 1, 1, 1])],
      [at(0).submit(2, [1])],
      [at(1).ready("a"), "run 1 on a: 1.0 1.1 1.2 1.3"],
      [at(9).finished(1), "run 2 on a: 1.4 2.0"],
    ],
  },
];

test.each(rows)("$rule", ({ steps }) => {
  play(steps);
});

test("D4: a batch is cut to the target time as soon as the worker's speed is known, but never below one input", () => {
  play(
    [
      [at(0).ready("a")],
      [at(0).submit(1, [20, 20, 20, 20]), "run 1 on a: 1.0 1.1 1.2 1.3"],
      [at(1).submit(2, [20, 20, 20, 90])],
      [at(160).finished(1), "complete 1", "run 2 on a: 2.0 2.1"],
      [at(240).finished(2), "run 3 on a: 2.2"],
      [at(280).finished(3), "run 4 on a: 2.3"],
    ],
    { batchTargetMs: 80 },
  );
});
