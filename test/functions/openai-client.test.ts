import OpenAI, { APIError } from "openai";
import { afterAll, beforeAll, expect, test } from "vitest";
import * as embeddings from "../../functions/v1/embeddings.ts";
import { AppError } from "../../runtime/errors.ts";
import { type Listener, listen } from "../../runtime/http/listen.ts";
import { createMemoryApp, routeOf } from "../doubles/memory-app.ts";
import { listenOptions } from "../doubles/memory-server.ts";
import { createMemoryEmbedder, MODEL, vectorOf } from "../doubles/memory-embedder.ts";

let refusals: AppError[] = [];
let requests = 0;
let listener: Listener;
let client: OpenAI;

beforeAll(async () => {
  const embedder = createMemoryEmbedder({
    dimensions: 384,
    intercept: () => {
      requests++;
      const refusal = refusals.shift();
      return refusal && Promise.reject(refusal);
    },
  });
  const app = createMemoryApp({ embedder, routes: [routeOf("/v1/embeddings", embeddings)] });
  listener = await listen((request) => app.fetch(request), listenOptions);
  client = new OpenAI({ baseURL: `http://127.0.0.1:${listener.port}/v1`, apiKey: "none" });
});
afterAll(() => listener.close(0));

test("the openai client gets the vectors, which it asks for in base64", async () => {
  const { data, model, usage } = await client.embeddings.create({ model: "any", input: ["one", "two"] });
  expect(data.map(({ embedding }) => Float32Array.from(embedding))).toEqual([
    vectorOf("one", 384),
    vectorOf("two", 384),
  ]);
  expect([model, usage.prompt_tokens]).toEqual([MODEL, 10]);
});

test("the openai client gets the same vectors as floats", async () => {
  const { data } = await client.embeddings.create({ model: "any", input: "one", encoding_format: "float" });
  expect(Float32Array.from(data[0]?.embedding ?? [])).toEqual(vectorOf("one", 384));
});

test("the openai client reads our errors", async () => {
  const failure: unknown = await client.embeddings.create({ model: "any", input: ["a", ""] }).catch((error) => error);
  expect(failure).toBeInstanceOf(APIError);
  expect(failure).toMatchObject({
    status: 400,
    code: "empty_input",
    param: "input[1]",
    type: "invalid_request_error",
    requestID: expect.stringMatching(/^[\w-]{36}$/),
  });
});

test("the openai client repeats a full queue after the time we say", async () => {
  refusals = [new AppError("queue_full", { retryAfterMs: 20 })];
  requests = 0;
  expect((await client.embeddings.create({ model: "any", input: "one" })).data).toHaveLength(1);
  expect(requests).toBe(2);
});

test("the openai client does not repeat a poison text", async () => {
  refusals = [new AppError("poison_input", { param: "text[0]" })];
  requests = 0;
  await expect(client.embeddings.create({ model: "any", input: "one" })).rejects.toMatchObject({
    status: 422,
    param: "input",
  });
  expect(requests).toBe(1);
});
