import { expect, test } from "vitest";
import { postJson } from "../doubles/memory-app.ts";
import { createMemoryEmbedder, MODEL, vectorOf } from "../doubles/memory-embedder.ts";
import { createMemoryFunctions, modelInfo } from "../doubles/memory-functions.ts";

const embedder = createMemoryEmbedder({ dimensions: 8, info: () => modelInfo() });
const app = await createMemoryFunctions({ embedder });
const post = async (path: string, body: unknown): Promise<unknown> => (await app.request(path, postJson(body))).json();
const floats = (rows: readonly number[][]): Float32Array[] => rows.map((row) => Float32Array.from(row));

test("POST /api/embed answers one row per text, and counts tokens and time", async () => {
  const answer = await post("/api/embed", { model: MODEL, input: ["one", "two"], keep_alive: "5m", options: {} });
  expect(answer).toEqual({
    model: MODEL,
    embeddings: expect.any(Array),
    total_duration: expect.any(Number),
    load_duration: 0,
    prompt_eval_count: 10,
  });
  expect(floats((answer as { embeddings: number[][] }).embeddings)).toEqual([vectorOf("one", 8), vectorOf("two", 8)]);
});

test.each([{ input: "" }, { input: [] }, {}, { input: null }])("%j loads a model and gives no vector", async (body) => {
  expect(await post("/api/embed", { model: MODEL, ...body })).toMatchObject({ embeddings: [] });
});

test.each([[["", "a"]], [[""]]])("an empty text in a list has its vector: %j", async (input) => {
  const answer = (await post("/api/embed", { model: MODEL, input })) as { embeddings: number[][] };
  expect(answer.embeddings).toHaveLength(input.length);
});

test("what is wrong with a text is said", async () => {
  expect(await post("/api/embed", { model: MODEL, input: ["a", "\ud83d"] })).toEqual({
    error: "A text holds half of a surrogate pair.",
  });
});

test("fewer dimensions are cut", async () => {
  const { embeddings } = (await post("/api/embed", { model: MODEL, input: "a", dimensions: 3 })) as {
    embeddings: number[][];
  };
  expect(embeddings[0]).toHaveLength(3);
});

test("without truncation a text past the limit is an error", async () => {
  const long = "x".repeat(21);
  expect(await post("/api/embed", { model: MODEL, input: ["a", long] })).toHaveProperty("embeddings");
  expect(await post("/api/embed", { model: MODEL, input: ["a", long], truncate: false })).toEqual({
    error: `The text with index 1 exceeds the context length of ${MODEL}.`,
  });
});

test("POST /api/embeddings answers one vector, or none for no text", async () => {
  const { embedding } = (await post("/api/embeddings", { model: MODEL, prompt: "one" })) as { embedding: number[] };
  expect(Float32Array.from(embedding)).toEqual(vectorOf("one", 8));
  expect(await post("/api/embeddings", { model: MODEL, prompt: "" })).toEqual({ embedding: [] });
});

test("a name that /api/tags lists works in /api/embed", async () => {
  const { models } = (await (await app.request("/api/tags")).json()) as { models: { name: string; model: string }[] };
  expect(models.map(({ name }) => name)).toEqual([`${MODEL}:latest`]);
  expect(await post("/api/embed", { model: models[0]?.model, input: "a" })).toHaveProperty("embeddings");
  expect(embedder.calls.at(-1)?.model).toBe(MODEL);
});

test("POST /api/show says that the model embeds, and how long its vectors are", async () => {
  expect(await post("/api/show", { model: MODEL })).toMatchObject({
    capabilities: ["embedding"],
    model_info: { "embedge.embedding_length": 8, "embedge.context_length": 256 },
  });
  expect((await app.request("/api/show", postJson({ model: "none" }))).status).toBe(404);
});

test("GET /api/version is a version", async () => {
  expect(await (await app.request("/api/version")).json()).toEqual({
    version: expect.stringMatching(/^\d+\.\d+\.\d+$/),
  });
});
