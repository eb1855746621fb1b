import { afterAll, beforeAll, describe, expect, test } from "vitest";
import golden from "../golden/minilm.json" with { type: "json" };
import { goldenVector, maxAbsDifference } from "../doubles/golden-vectors.ts";
import { startRealHost, type RealHost } from "../doubles/real-host.ts";

const DIFFERENCE_MAX = 1e-5;
const TOKENS_MAX = 256;
const TRUNCATED_WORDS = "harbour ".repeat(400);

interface Answer {
  readonly embeddings: readonly (readonly number[])[];
  readonly model: string;
  readonly dimension: number;
  readonly truncated?: readonly number[];
  readonly usage: { readonly total_tokens: number; readonly duration_ms: number };
}

let host: RealHost;
beforeAll(async () => {
  host = await startRealHost();
}, 60_000);
afterAll(() => host.close());

describe("vectors equal the reference, through HTTP", () => {
  test("one text at a time", async () => {
    for (const [index, text] of golden.texts.entries()) {
      const answer = await embed([text]);
      expect(answer.usage.total_tokens, `tokens of text ${index}`).toBe(golden.tokens[index]);
      expect(maxAbsDifference(answer.embeddings[0] ?? [], goldenVector(index)), `text ${index}`).toBeLessThanOrEqual(
        DIFFERENCE_MAX,
      );
    }
  }, 120_000);

  test("in mixed batches of 32", async () => {
    for (let from = 0; from < golden.texts.length; from += 32) {
      // Every third text, so that each batch holds short, long and cut ones.
      const indexes = Array.from({ length: 32 }, (_, at) => ((from + at) * 37) % golden.texts.length);
      const answer = await embed(indexes.map((index) => golden.texts[index] ?? ""));
      const differences = indexes.map((index, row) =>
        maxAbsDifference(answer.embeddings[row] ?? [], goldenVector(index)),
      );
      expect(Math.max(...differences)).toBeLessThanOrEqual(DIFFERENCE_MAX);
      const tokens = indexes.reduce((sum, index) => sum + (golden.tokens[index] ?? 0), 0);
      expect(answer.usage.total_tokens).toBe(tokens);
    }
  }, 120_000);

  test("the answer says which texts were cut, and to how many tokens", async () => {
    const answer = await embed(["short", TRUNCATED_WORDS]);
    expect(answer.truncated).toEqual([1]);
    expect(answer.usage.total_tokens).toBe(3 + TOKENS_MAX);
    const cut = await embed(["short"]);
    expect(cut.truncated).toBeUndefined();
  });

  test("the seed's answer: embeddings, model, dimension and usage", async () => {
    const answer = await embed(["hello"]);
    expect(answer).toMatchObject({ model: "all-MiniLM-L6-v2", dimension: 384, usage: { total_tokens: 3 } });
    expect(answer.usage.duration_ms).toBeGreaterThan(0);
    expect(answer.embeddings[0]).toHaveLength(384);
  });
});

async function embed(texts: readonly string[]): Promise<Answer> {
  const response = await fetch(`${host.url}/api/v1/embed`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ texts }),
  });
  expect(response.status).toBe(200);
  return (await response.json()) as Answer;
}
