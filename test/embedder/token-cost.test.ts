import { describe, expect, test } from "vitest";
import golden from "../golden/minilm.json" with { type: "json" };
import { createTokenCost } from "../../runtime/embedder/token-cost.ts";

const TOKENS_MAX = 256;

describe("token cost", () => {
  test("an empty text costs its two special tokens", () => {
    expect(createTokenCost().estimate("", TOKENS_MAX)).toBe(2);
  });

  test("never exceeds what the model reads, however long the text", () => {
    expect(createTokenCost().estimate("word ".repeat(1_000_000), TOKENS_MAX)).toBe(TOKENS_MAX);
    expect(createTokenCost().estimate("漢".repeat(10_000), TOKENS_MAX)).toBe(TOKENS_MAX);
  });

  test("is within 35 % of the true count over the mixed reference texts", () => {
    const cost = createTokenCost();
    const estimated = golden.texts.map((text) => cost.estimate(text, TOKENS_MAX));
    expect(sum(estimated) / sum(golden.tokens)).toBeGreaterThan(0.65);
    expect(sum(estimated) / sum(golden.tokens)).toBeLessThan(1.35);
  });

  test("learns from the counts that workers report", () => {
    const cost = createTokenCost();
    const text = "pneumonoultramicroscopicsilicovolcanoconiosis hexakosioihexekontahexaphobia";
    for (let round = 0; round < 400; round++) cost.learn(cost.estimate(text, TOKENS_MAX), 40);
    expect(Math.abs(cost.estimate(text, TOKENS_MAX) - 40)).toBeLessThanOrEqual(3);
  });

  test("one absurd report moves the estimate by little", () => {
    const cost = createTokenCost();
    const before = cost.estimate("a plain sentence of a few words", TOKENS_MAX);
    cost.learn(before, 250);
    expect(cost.estimate("a plain sentence of a few words", TOKENS_MAX)).toBeLessThan(before * 2);
  });
});

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
