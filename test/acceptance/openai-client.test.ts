import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import OpenAI, { BadRequestError, NotFoundError } from "openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import golden from "../golden/minilm.json" with { type: "json" };
import { goldenVector, maxAbsDifference } from "../doubles/golden-vectors.ts";
import { startRealHost, type RealHost } from "../doubles/real-host.ts";
import { findRealWorker } from "../doubles/real-worker.ts";

const DIFFERENCE_MAX = 1e-5;
const indexes = [20, 50, 100];
const texts = indexes.map((index) => golden.texts[index] ?? "");

let host: RealHost;
let client: OpenAI;
beforeAll(async () => {
  host = await startRealHost({ config: { models: { aliases: { "text-embedding-3-small": "default" } } } });
  client = new OpenAI({ baseURL: `${host.url}/v1`, apiKey: "unused", maxRetries: 0 });
}, 60_000);
afterAll(() => host.close());

describe("the openai package for JavaScript", () => {
  test("gets reference vectors with its default encoding, which is base64", async () => {
    const answer = await client.embeddings.create({ model: "text-embedding-3-small", input: texts });
    expect(answer.model).toBe("all-MiniLM-L6-v2");
    expect(answer.data.map(({ index }) => index)).toEqual([0, 1, 2]);
    for (const [row, index] of indexes.entries()) {
      const vector = answer.data[row]?.embedding ?? [];
      expect(maxAbsDifference(vector, goldenVector(index))).toBeLessThanOrEqual(DIFFERENCE_MAX);
    }
    const tokens = indexes.reduce((sum, index) => sum + (golden.tokens[index] ?? 0), 0);
    expect(answer.usage).toEqual({ prompt_tokens: tokens, total_tokens: tokens });
  });

  test("gets the same vector as numbers", async () => {
    const [input = ""] = texts;
    const answer = await client.embeddings.create({ model: "text-embedding-3-small", input, encoding_format: "float" });
    expect(maxAbsDifference(answer.data[0]?.embedding ?? [], goldenVector(indexes[0] ?? 0))).toBeLessThanOrEqual(
      DIFFERENCE_MAX,
    );
  });

  test("H41 token ids are read as cl100k, which clients count with, and not as the model's own", async () => {
    // "hello world" in cl100k_base.
    const ids = await client.embeddings.create({ model: "text-embedding-3-small", input: [15339, 1917] });
    const text = await client.embeddings.create({ model: "text-embedding-3-small", input: "hello world" });
    expect(ids.data[0]?.embedding).toEqual(text.data[0]?.embedding);
  });

  test("throws its own error classes, with our code and field", async () => {
    const empty = client.embeddings.create({ model: "text-embedding-3-small", input: ["fine", ""] });
    await expect(empty).rejects.toThrow(BadRequestError);
    await expect(empty).rejects.toMatchObject({ code: "empty_input", param: "input[1]" });
    const unknown = client.embeddings.create({ model: "no-such-model", input: "x" });
    await expect(unknown).rejects.toThrow(NotFoundError);
    await expect(unknown).rejects.toMatchObject({ code: "model_not_found" });
  });
});

describe("the openai package for Python", () => {
  test("gets reference vectors, and its own error class", async () => {
    const [python] = findRealWorker().command;
    const script = join(import.meta.dirname, "openai_client.py");
    const { stdout } = await promisify(execFile)(python, [script, `${host.url}/v1`, JSON.stringify(texts)]);
    const answer = JSON.parse(stdout) as { vectors: number[][]; model: string; error: string };
    expect(answer.model).toBe("all-MiniLM-L6-v2");
    expect(answer.error).toBe("BadRequestError empty_input input[0]");
    for (const [row, index] of indexes.entries()) {
      expect(maxAbsDifference(answer.vectors[row] ?? [], goldenVector(index))).toBeLessThanOrEqual(DIFFERENCE_MAX);
    }
  }, 30_000);
});
