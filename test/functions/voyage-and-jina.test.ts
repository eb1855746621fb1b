import { describe, expect, test } from "vitest";
import { errorOf, postJson } from "../doubles/memory-app.ts";
import { createMemoryEmbedder, MODEL, vectorOf } from "../doubles/memory-embedder.ts";
import { createMemoryFunctions, modelInfo } from "../doubles/memory-functions.ts";

const prompts = ["query", "retrieval.passage", "text-matching", "Clustering"];
const embedder = createMemoryEmbedder({ dimensions: 8, info: () => modelInfo(prompts) });
const app = await createMemoryFunctions({ embedder });
const post = async (body: object): Promise<Response> =>
  app.request("/v1/embeddings", postJson({ model: MODEL, input: ["one"], ...body }));
const vectorFor = async (body: object): Promise<unknown> => {
  const { data } = (await (await post(body)).json()) as { data: { embedding: unknown }[] };
  return data[0]?.embedding;
};
const bits = vectorOf("one", 8).reduce((byte, value, index) => byte | (value > 0 ? 128 >> index : 0), 0);

describe("Voyage's fields of /v1/embeddings", () => {
  test.each([
    [{ input_type: "query" }, "query"],
    [{ input_type: "document" }, "retrieval.passage"],
    [{ input_type: null }, undefined],
    [{ input_type: "document", prompt_name: "query" }, "query"],
    [{ input_type: "query", prompt: "own: " }, undefined],
  ])("%j takes the prompt %s", async (body, promptName) => {
    await post(body);
    expect(embedder.calls.at(-1)?.promptName).toBe(promptName);
  });

  test("fewer dimensions", async () => {
    expect(await vectorFor({ output_dimension: 3 })).toHaveLength(3);
  });

  test("bits, as numbers and in base64", async () => {
    expect(await vectorFor({ output_dtype: "ubinary" })).toEqual([bits]);
    expect(await vectorFor({ output_dtype: "binary" })).toEqual([bits - 128]);
    expect(await vectorFor({ output_dtype: "binary", encoding_format: "base64" })).toBe(
      Buffer.from([bits - 128 + 256]).toString("base64"),
    );
  });

  test("eight-bit numbers keep the direction of the vector", async () => {
    const small = (await vectorFor({ output_dtype: "int8" })) as number[];
    const whole = vectorOf("one", 8);
    const cosine = small.reduce((sum, value, index) => sum + value * (whole[index] ?? 0), 0) / Math.hypot(...small);
    expect(cosine).toBeGreaterThan(0.999);
    expect(small.every((value) => Number.isInteger(value) && Math.abs(value) <= 128)).toBe(true);
    expect(await vectorFor({ output_dtype: "uint8" })).toEqual(small.map((value) => value + 128));
  });

  test("without truncation a text past the limit is an error", async () => {
    expect(await errorOf(await post({ input: "x".repeat(21), truncation: false }))).toMatchObject({
      status: 400,
      code: "input_too_long",
    });
  });
});

describe("Jina's fields of /v1/embeddings", () => {
  test.each([
    ["retrieval.query", "query"],
    ["retrieval.passage", "retrieval.passage"],
    ["text-matching", "text-matching"],
    ["separation", "Clustering"],
    ["classification", undefined],
  ])("the task %s takes the prompt %s", async (task, promptName) => {
    await post({ task });
    expect(embedder.calls.at(-1)?.promptName).toBe(promptName);
  });

  test("texts as objects", async () => {
    await post({ input: [{ text: "one" }, { text: "two" }] });
    expect(embedder.calls.at(-1)?.texts).toEqual(["one", "two"]);
    expect(await errorOf(await post({ input: [{ text: "one" }, { image: "x" }] }))).toMatchObject({
      status: 400,
      param: "input[1]",
    });
  });

  test("the embedding_type names base64 and bits", async () => {
    expect(await vectorFor({ embedding_type: "base64" })).toBe(
      Buffer.from(vectorOf("one", 8).buffer).toString("base64"),
    );
    expect(await vectorFor({ embedding_type: "ubinary" })).toEqual([bits]);
  });

  test("vectors at their own length where asked for", async () => {
    await post({ normalized: false });
    expect(embedder.calls.at(-1)?.normalize).toBe(false);
    expect((await errorOf(await post({ normalized: false, embedding_type: "binary" }))).status).toBe(400);
  });

  test.each(["late_chunking", "return_multivector"])("%s is refused, and its absence is not", async (field) => {
    expect(await errorOf(await post({ [field]: true }))).toMatchObject({ status: 400, param: field });
    expect((await post({ [field]: false })).status).toBe(200);
  });
});
