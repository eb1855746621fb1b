import { describe, expect, test } from "vitest";
import golden from "../golden/minilm.json" with { type: "json" };
import scripts from "../golden/scripts.json" with { type: "json" };
import { createTokenCost, type TokenCost } from "../../runtime/embedder/token-cost.ts";

const TOKENS_MAX = 256;

describe("token cost", () => {
  test("an empty text costs its two special tokens", () => {
    expect(createTokenCost().estimate("", TOKENS_MAX)).toBe(2);
  });

  test("never exceeds what the model reads, however long the text", () => {
    expect(createTokenCost().estimate("word ".repeat(1_000_000), TOKENS_MAX)).toBe(TOKENS_MAX);
    expect(createTokenCost().estimate("漢".repeat(10_000), TOKENS_MAX)).toBe(TOKENS_MAX);
  });

  test("is within 35 % of the true count over the mixed reference texts before it has learnt anything", () => {
    const cost = createTokenCost();
    const estimated = golden.texts.map((text) => cost.estimate(text, TOKENS_MAX));
    expect(sum(estimated) / sum(golden.tokens)).toBeGreaterThan(0.65);
    expect(sum(estimated) / sum(golden.tokens)).toBeLessThan(1.35);
  });

  test("after 1,000 texts in 28 languages and notations, new mixed texts are within 15 % of the tokenizer's counts", () => {
    const draw = createDraw();
    const cost = trained(1_000, draw);
    // Sentences that it has not seen, four at a time.
    const errors = Array.from({ length: 400 }, () => {
      const picks = Array.from({ length: 4 }, () => draw(scripts.second.length));
      const text = picks.map((pick) => scripts.second[pick]).join(" ");
      const actual = sum(picks.map((pick) => (scripts.secondTokens[pick] ?? 0) - 2)) + 2;
      return Math.abs(cost.estimate(text, 10_000) / actual - 1);
    }).toSorted((a, b) => a - b);
    expect(errors[200]).toBeLessThan(0.08);
    expect(sum(errors) / errors.length).toBeLessThan(0.15);
  });

  test("after 1,000 texts, 32 new texts that share a batch are within 15 % in sum", () => {
    const draw = createDraw();
    const cost = trained(1_000, draw);
    for (let round = 0; round < 100; round++) {
      const picks = Array.from({ length: 32 }, () => draw(scripts.second.length));
      const estimated = sum(picks.map((pick) => cost.estimate(scripts.second[pick] ?? "", 10_000)));
      const ratio = estimated / sum(picks.map((pick) => scripts.secondTokens[pick] ?? 0));
      expect(Math.abs(ratio - 1)).toBeLessThan(0.15);
    }
  });

  test("learns each script for itself", () => {
    const cost = createTokenCost();
    const before = cost.estimate("人人生而自由", TOKENS_MAX);
    for (let round = 0; round < 200; round++) cost.learn("Все люди рождаются свободными", 29);
    expect(cost.estimate("人人生而自由", TOKENS_MAX)).toBe(before);
    expect(Math.abs(cost.estimate("Все люди рождаются свободными", TOKENS_MAX) - 29)).toBeLessThanOrEqual(1);
  });

  test("one absurd report moves the estimate by little", () => {
    const cost = createTokenCost();
    const before = cost.estimate("a plain sentence of a few words", TOKENS_MAX);
    cost.learn("a plain sentence of a few words", 250_000);
    expect(cost.estimate("a plain sentence of a few words", TOKENS_MAX)).toBeLessThan(before * 1.2);
  });
});

/** Has learnt from so many of the first sentences. */
function trained(texts: number, draw: (below: number) => number): TokenCost {
  const cost = createTokenCost();
  for (let count = 0; count < texts; count++) {
    const pick = draw(scripts.first.length);
    cost.learn(scripts.first[pick] ?? "", scripts.firstTokens[pick] ?? 0);
  }
  return cost;
}

/** Whole numbers from 0, the same on every run. */
function createDraw(): (below: number) => number {
  let state = 7;
  return (below) => {
    state = (state * 48_271) % 2_147_483_647;
    return state % below;
  };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
