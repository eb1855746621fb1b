import { Tiktoken } from "js-tiktoken/lite";
import cl100k from "js-tiktoken/ranks/cl100k_base";
import { describe, expect, test } from "vitest";
import * as embeddings from "../../functions/v1/embeddings.ts";
import { AppError } from "../../runtime/errors.ts";
import { createMemoryApp, errorOf, postJson, routeOf } from "../doubles/memory-app.ts";
import { createMemoryEmbedder, embedResult, MODEL, vectorOf } from "../doubles/memory-embedder.ts";

interface Answer {
  readonly object: string;
  readonly data: readonly { readonly object: string; readonly index: number; readonly embedding: number[] | string }[];
  readonly model: string;
  readonly usage: { readonly prompt_tokens: number; readonly total_tokens: number };
}

const PATH = "/v1/embeddings";
const embedder = createMemoryEmbedder({ dimensions: 8 });
const app = createMemoryApp({ embedder, routes: [routeOf(PATH, embeddings)] });
const post = (body: unknown): Promise<Response> => Promise.resolve(app.request(PATH, postJson(body)));
const answerTo = async (body: unknown): Promise<Answer> => (await (await post(body)).json()) as Answer;

describe("POST /v1/embeddings", () => {
  test("answers a list in OpenAI's shape, floats unless asked otherwise", async () => {
    const answer = await answerTo({ input: ["one", "two"], model: MODEL, unknown: 1 });
    expect(answer).toEqual({
      object: "list",
      data: [
        { object: "embedding", index: 0, embedding: expect.any(Array) },
        { object: "embedding", index: 1, embedding: expect.any(Array) },
      ],
      model: MODEL,
      usage: { prompt_tokens: 10, total_tokens: 10 },
    });
    expect(answer.data.map(({ embedding }) => Float32Array.from(embedding as number[]))).toEqual([
      vectorOf("one", 8),
      vectorOf("two", 8),
    ]);
  });

  test("takes one text for a list of one", async () => {
    expect((await answerTo({ input: "one" })).data).toHaveLength(1);
  });

  test("base64 is the same float32 in little-endian order", async () => {
    const { data } = await answerTo({ input: "one", encoding_format: "base64" });
    const bytes = Buffer.from(data[0]?.embedding as string, "base64");
    const floats = Array.from({ length: bytes.length / 4 }, (_, index) => bytes.readFloatLE(index * 4));
    expect(Float32Array.from(floats)).toEqual(vectorOf("one", 8));
  });

  test("fewer dimensions are the first ones, at length 1 again", async () => {
    const { data } = await answerTo({ input: "one", dimensions: 3 });
    const vector = data[0]?.embedding as number[];
    const whole = vectorOf("one", 8);
    expect(vector).toHaveLength(3);
    expect(Math.hypot(...vector)).toBeCloseTo(1, 6);
    expect((vector[1] ?? 0) / (vector[0] ?? 1)).toBeCloseTo((whole[1] ?? 0) / (whole[0] ?? 1), 5);
  });

  test("a vector that the platform has cut is not touched again", async () => {
    const cutting = createMemoryEmbedder({
      intercept: async ({ texts, dimensions = 8 }) => embedResult(texts, dimensions),
    });
    const other = createMemoryApp({ embedder: cutting, routes: [routeOf(PATH, embeddings)] });
    const response = await other.request(PATH, postJson({ input: "one", dimensions: 3 }));
    const { data } = (await response.json()) as Answer;
    expect(Float32Array.from(data[0]?.embedding as number[])).toEqual(vectorOf("one", 3));
  });

  test("hands the prompt on", async () => {
    await post({ input: "a", prompt_name: "query" });
    expect(embedder.calls.at(-1)).toMatchObject({ promptName: "query", prompt: undefined });
    await post({ input: "a", prompt: "query: " });
    expect(embedder.calls.at(-1)).toMatchObject({ promptName: undefined, prompt: "query: " });
  });

  test.each([{ prompt: "query: " }, { prompt_name: "query" }])(
    "on a platform that drops %j the answer is a 400, never a vector of something else",
    async (asked) => {
      const env = {
        AI: {
          run: async () => ({ shape: [1, 2] as const, data: [[0.6, 0.8]], pooling: "cls" as const }),
          models: async () => [],
        },
      };
      const context = { params: {}, waitUntil() {}, passThroughOnException() {} };
      const request = new Request("http://host/", postJson({ input: "a", ...asked }));
      const response = await embeddings.default.fetch(request, env, context);
      const param = Object.keys(asked)[0];
      expect(await errorOf(response)).toEqual({ status: 400, code: "invalid_request", param });
    },
  );

  test("the model's own number of dimensions changes nothing", async () => {
    const plain = await answerTo({ input: "one" });
    expect(await answerTo({ input: "one", dimensions: 8 })).toEqual(plain);
  });

  test("null stands for a field that is not there", async () => {
    const body = { input: "one", model: null, encoding_format: null, dimensions: null, user: null };
    expect((await post(body)).status).toBe(200);
  });

  test.each([
    ["one text", { input: "bad" }, "input"],
    ["a list", { input: ["fine", "bad"] }, "input[1]"],
  ])("names a poison text in %s", async (_, body, param) => {
    const failing = createMemoryEmbedder({
      intercept: ({ texts }) =>
        Promise.reject(new AppError("poison_input", { param: `texts[${texts.indexOf("bad")}]` })),
    });
    const other = createMemoryApp({ embedder: failing, routes: [routeOf(PATH, embeddings)] });
    expect(await errorOf(await other.request(PATH, postJson(body)))).toMatchObject({ code: "poison_input", param });
  });
});

describe("token ids (H41)", () => {
  const tokenizer = new Tiktoken(cl100k);
  const text = "Grüße, 世界 🌍 naïve";

  test("are cl100k's and become the text they came from", async () => {
    await post({ input: tokenizer.encode(text) });
    expect(embedder.calls.at(-1)?.texts).toEqual([text]);
    await post({ input: [tokenizer.encode("first"), tokenizer.encode(text)] });
    expect(embedder.calls.at(-1)?.texts).toEqual(["first", text]);
  });

  test("decode as the reference does, for every token there is", async () => {
    const { loadCl100k } = await import("../../functions/_cl100k.ts");
    const vocabulary = await loadCl100k();
    const ids = Array.from({ length: 100_300 }, (_, id) => id).filter((id) => vocabulary.has(id));
    expect(ids).toHaveLength(100_256 + 5);
    expect(vocabulary.decode(ids)).toBe(tokenizer.decode(ids));
  });

  test.each([
    ["out of range", [1, 100_300], "input[1]"],
    ["out of range in a list", [[1], [2, 999_999]], "input[1][1]"],
    ["negative", [1, -1], "input[1]"],
    ["a fraction", [[0.5]], "input[0][0]"],
    ["a text among ids", [1, "a"], "input[1]"],
    ["a text among lists of ids", [[1], ["a"]], "input[1][0]"],
    ["a list of ids that is none", [[1], "a"], "input[1]"],
  ])("%s: 400 that names the place", async (_, input, param) => {
    expect(await errorOf(await post({ input }))).toEqual({ status: 400, code: "invalid_request", param });
  });

  test("an empty list of ids is no input", async () => {
    expect(await errorOf(await post({ input: [[1], []] }))).toEqual({
      status: 400,
      code: "empty_input",
      param: "input[1]",
    });
  });
});

describe("what is no request for embeddings", () => {
  test.each([
    ["a number (H02)", { input: 5 }, "invalid_request", "input"],
    ["nothing (H02)", {}, "invalid_request", "input"],
    ["an object (H02)", { input: {} }, "invalid_request", "input"],
    ["a number after a text (H02)", { input: ["a", 1] }, "invalid_request", "input[1]"],
    ["an empty text (H03)", { input: "" }, "empty_input", "input"],
    ["an empty list (H03)", { input: [] }, "empty_input", "input"],
    ["an empty text in a list (H03)", { input: ["a", ""] }, "empty_input", "input[1]"],
    ["2,049 texts (H04)", { input: Array(2_049).fill("a") }, "too_many_inputs", "input"],
    ["2,049 lists of ids (H04)", { input: Array.from({ length: 2_049 }, () => [1]) }, "too_many_inputs", "input"],
    ["half of a surrogate pair (H17)", { input: "\udfff" }, "invalid_unicode", "input"],
    ["xml (H40)", { input: "a", encoding_format: "xml" }, "invalid_request", "encoding_format"],
    ["no dimension (H40)", { input: "a", dimensions: 0 }, "invalid_request", "dimensions"],
    ["a billion dimensions (H40)", { input: "a", dimensions: 1e9 }, "invalid_request", "dimensions"],
    ["a fraction of dimensions (H40)", { input: "a", dimensions: 1.5 }, "invalid_request", "dimensions"],
    ["a prompt that is no text", { input: "a", prompt: 1 }, "invalid_request", "prompt"],
    ["a user of 1 MB (H40)", { input: "a", user: "u".repeat(900_000) }, "invalid_request", "user"],
  ])("%s is a 400", async (_, body, code, param) => {
    expect(await errorOf(await post(body))).toEqual({ status: 400, code, param });
  });
});
