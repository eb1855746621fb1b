import { expect, test } from "vitest";
import { errorOf, postJson } from "../doubles/memory-app.ts";
import { createMemoryEmbedder, MODEL, vectorOf } from "../doubles/memory-embedder.ts";
import { createMemoryFunctions, modelInfo } from "../doubles/memory-functions.ts";

const embedder = createMemoryEmbedder({ dimensions: 8, info: () => modelInfo(["search_query", "document"]) });
const app = await createMemoryFunctions({ embedder });
const post = async (body: object): Promise<Response> => app.request("/v2/embed", postJson({ model: MODEL, ...body }));
const answerTo = async (body: object): Promise<{ embeddings: Record<string, number[][]> }> =>
  (await (await post(body)).json()) as { embeddings: Record<string, number[][]> };

test("answers floats where no type is asked for, with the texts and what they cost", async () => {
  expect(await answerTo({ texts: ["one", "two"] })).toEqual({
    id: expect.any(String),
    response_type: "embeddings_by_type",
    texts: ["one", "two"],
    embeddings: { float: [expect.any(Array), expect.any(Array)] },
    meta: { api_version: { version: "2" }, billed_units: { input_tokens: 10 } },
  });
});

test("answers every type that is asked for, all of the same vector", async () => {
  const types = ["float", "int8", "uint8", "binary", "ubinary", "base64"];
  const { embeddings } = await answerTo({ texts: ["one"], embedding_types: types });
  const [vector] = [vectorOf("one", 8)];
  const bits = vector.reduce((byte, value, index) => byte | (value > 0 ? 128 >> index : 0), 0);
  expect(Object.keys(embeddings)).toEqual(types);
  expect(Float32Array.from(embeddings["float"]?.[0] ?? [])).toEqual(vector);
  expect(embeddings["ubinary"]).toEqual([[bits]]);
  expect(embeddings["binary"]).toEqual([[bits - 128]]);
  expect(embeddings["uint8"]).toEqual([embeddings["int8"]?.[0]?.map((value) => value + 128)]);
  const bytes = Buffer.from(String(embeddings["base64"]?.[0]), "base64");
  expect(new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength))).toEqual(vector);
});

test("texts in parts are one text each", async () => {
  const inputs = [{ content: [{ type: "text", text: "one" }] }, { content: [{ type: "text", text: "two" }] }];
  await post({ inputs });
  expect(embedder.calls.at(-1)?.texts).toEqual(["one", "two"]);
});

test.each([
  ["search_query", "search_query"],
  ["search_document", "document"],
  ["classification", undefined],
])("input_type %s takes the model's prompt for it: %s", async (inputType, promptName) => {
  await post({ texts: ["a"], input_type: inputType });
  expect(embedder.calls.at(-1)?.promptName).toBe(promptName);
});

test("a request that comes before the model is loaded waits for it, and then has its prompt", async () => {
  let isLoaded = false;
  const starting = createMemoryEmbedder({
    info: () => (isLoaded ? modelInfo(["query"]) : undefined),
    intercept: () => void (isLoaded = true),
  });
  const other = await createMemoryFunctions({ embedder: starting });
  await other.request("/v2/embed", postJson({ model: MODEL, texts: ["a"], input_type: "search_query" }));
  expect(starting.calls.at(-1)).toMatchObject({ texts: ["a"], promptName: "query" });
});

test("START cuts at the beginning; NONE makes a text past the limit an error", async () => {
  await post({ texts: ["a"], truncate: "START", output_dimension: 4 });
  expect(embedder.calls.at(-1)).toMatchObject({ truncationSide: "left", dimensions: 4 });
  const response = await post({ texts: ["x".repeat(21)], truncate: "NONE" });
  expect([response.status, await response.json()]).toEqual([
    400,
    { id: expect.any(String), message: `The text with index 0 exceeds the context length of ${MODEL}.` },
  ]);
});

test.each([
  ["97 texts", { texts: Array(97).fill("a") }],
  ["no text", { texts: [] }],
  ["neither texts nor inputs", {}],
  ["an image", { inputs: [{ content: [{ type: "image_url", image_url: { url: "data:" } }] }] }],
  ["an unknown type", { texts: ["a"], embedding_types: ["float16"] }],
])("%s is a 400 with a sentence", async (_, body) => {
  const response = await post(body);
  expect([response.status, await response.json()]).toEqual([
    400,
    { id: expect.any(String), message: expect.any(String) },
  ]);
});

test("a model without a name in the request is OpenAI's way and not Cohere's", async () => {
  expect((await app.request("/v2/embed", postJson({ texts: ["a"] }))).status).toBe(400);
  expect((await errorOf(await app.request("/nowhere", postJson({})))).code).toBe("not_found");
});
