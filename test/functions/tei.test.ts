import { expect, test } from "vitest";
import { postJson } from "../doubles/memory-app.ts";
import { createMemoryEmbedder, MODEL, vectorOf } from "../doubles/memory-embedder.ts";
import { createMemoryFunctions, modelInfo } from "../doubles/memory-functions.ts";

let isLoaded = true;
const embedder = createMemoryEmbedder({ dimensions: 8, info: () => (isLoaded ? modelInfo(["query"]) : undefined) });
const app = await createMemoryFunctions({ embedder });
const post = async (path: string, body: unknown): Promise<unknown> => (await app.request(path, postJson(body))).json();

test("POST /embed answers a bare list of vectors, for one text too", async () => {
  const list = (await post("/embed", { inputs: ["one", "two"] })) as number[][];
  expect(list.map((row) => Float32Array.from(row))).toEqual([vectorOf("one", 8), vectorOf("two", 8)]);
  expect(await post("/embed", { inputs: "one" })).toEqual([list[0]]);
});

test("prompt, dimensions, normalisation and the side of truncation are handed on", async () => {
  const asked = { prompt_name: "query", dimensions: 4, normalize: false, truncation_direction: "Left", truncate: true };
  await post("/embed", { inputs: "a", ...asked });
  expect(embedder.calls.at(-1)).toMatchObject({
    model: MODEL,
    promptName: "query",
    dimensions: 4,
    normalize: false,
    truncationSide: "left",
  });
});

test("without truncation a text past the limit is an error", async () => {
  expect(await post("/embed", { inputs: "x".repeat(21), truncate: false })).toEqual({
    error: `The text with index 0 exceeds the context length of ${MODEL}.`,
    error_type: "Validation",
  });
});

test("POST /similarity answers one cosine per sentence", async () => {
  const inputs = { source_sentence: "one", sentences: ["one", "two"] };
  const [same, other] = (await post("/similarity", { inputs })) as number[];
  const cosine = vectorOf("one", 8).reduce((sum, value, index) => sum + value * (vectorOf("two", 8)[index] ?? 0), 0);
  expect(same).toBeCloseTo(1, 6);
  expect(other).toBeCloseTo(cosine, 6);
});

test.each(["/embed_all", "/tokenize"])("%s is refused in a sentence", async (path) => {
  const response = await app.request(path, postJson({ inputs: "a" }));
  expect(response.status).toBe(400);
  expect(await response.json()).toEqual({ error: expect.stringContaining("/embed"), error_type: "Validation" });
});

test("GET /info names the model and its limits", async () => {
  expect(await (await app.request("/info")).json()).toMatchObject({
    model_id: MODEL,
    model_type: { embedding: { pooling: "mean" } },
    max_input_length: 256,
    max_client_batch_size: 2_048,
  });
});

test("GET /health is 503 until the model is loaded", async () => {
  isLoaded = false;
  expect((await app.request("/health")).status).toBe(503);
  isLoaded = true;
  expect((await app.request("/health")).status).toBe(200);
});
