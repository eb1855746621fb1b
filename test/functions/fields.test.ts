import { expect, test } from "vitest";
import * as embed from "../../functions/api/v1/embed.ts";
import * as embeddings from "../../functions/v1/embeddings.ts";
import type { RequestRecord } from "../../runtime/http/app.ts";
import { createMemoryApp, errorOf, postJson, routeOf, routeTo } from "../doubles/memory-app.ts";
import { createMemoryEmbedder } from "../doubles/memory-embedder.ts";

const records: RequestRecord[] = [];
const app = createMemoryApp({
  routes: [
    routeOf("/embed", embed),
    routeOf("/v1/embeddings", embeddings),
    routeTo("/own", () => new Response("no", { status: 400 })),
    routeTo("/lies", () => new Response("fine", { headers: { "x-embedge-code": "invalid_json" } })),
    routeTo("/odd", () => new Response("no", { status: 400, headers: { "x-embedge-code": "toString" } })),
  ],
  app: { onRequest: (record) => records.push(record) },
});

test.each([
  ["/embed", { text: ["a"] }, "text", "texts"],
  ["/embed", { texts: ["a"], normalise: false }, "normalise", "normalize"],
  ["/embed", { texts: ["a"], Normalize: false }, "Normalize", "normalize"],
  ["/embed", { texts: ["a"], promptName: "query" }, "promptName", "prompt_name"],
  ["/embed", { texts: ["a"], dimension: 2 }, "dimension", "dimensions"],
  ["/v1/embeddings", { inputs: "a" }, "inputs", "input"],
  ["/v1/embeddings", { input: "a", encodingFormat: "base64" }, "encodingFormat", "encoding_format"],
])("%s: a field that is misspelt is refused, and the nearest is named: %j", async (path, body, field, meant) => {
  const response = await app.request(path, postJson(body));
  const { error } = (await response.clone().json()) as { error: { message: string } };
  expect(error.message).toBe(`There is no field \`${field}\`; the nearest is \`${meant}\`.`);
  expect(await errorOf(response)).toEqual({ status: 400, code: "invalid_request", param: field });
});

test.each([
  // What real clients send beside OpenAI's own fields, as measured.
  ["openai", { input: "a", user: "u", encoding_format: "base64" }],
  ["voyageai", { input: "a", input_type: "query", truncation: true, output_dimension: 4, output_dtype: "float" }],
  [
    "litellm",
    { input: ["a"], timeout: 600, metadata: {}, extra_body: {}, task: "retrieval.query", late_chunking: false },
  ],
  ["an older one", { input: "a", models: [], engine: "x", id: 1 }],
])("fields of %s's own do no harm (H40)", async (_, body) => {
  expect((await app.request("/v1/embeddings", postJson({ model: "m", ...body }))).status).toBe(200);
});

test("a body of 100,000 fields costs no more than its parsing (H16)", async () => {
  const fields = Object.fromEntries(Array.from({ length: 20_000 }, (_, index) => [`field${index}`, index]));
  expect((await app.request("/embed", postJson({ texts: ["a"], ...fields }))).status).toBe(200);
});

test.each([
  ["/embed", { texts: [] }, "empty_input"],
  ["/embed", { texts: 5 }, "invalid_request"],
  ["/own", {}, undefined],
  ["/lies", {}, undefined],
  ["/odd", {}, undefined],
])("%s: what a function refuses itself is known to log and metrics by its code: %j", async (path, body, code) => {
  records.length = 0;
  await app.request(path, postJson(body));
  expect(records.map(({ error }) => error?.code)).toEqual([code]);
});

test.each([
  [undefined, [100, 100, 50]],
  ["250", [250]],
  ["10", Array.from({ length: 25 }, () => 10)],
])("a request is cut into runs of as many texts as the platform says: %s", async (textsMax, sizes) => {
  const embedder = createMemoryEmbedder();
  let most = 0;
  let open = 0;
  const limited = createMemoryApp({
    routes: [routeOf("/embed", embed)],
    vars: textsMax === undefined ? {} : { EMBEDDING_TEXTS_MAX: textsMax },
    textsMax: Number(textsMax ?? 100),
    embedder: {
      ...embedder,
      async embed(call) {
        most = Math.max(most, ++open);
        await Promise.resolve();
        open--;
        return embedder.embed(call);
      },
    },
  });
  const texts = Array.from({ length: 250 }, (_, index) => `text ${index}`);
  const response = await limited.request("/embed", postJson({ texts }));
  expect(response.status).toBe(200);
  expect(embedder.calls.map((call) => call.texts.length)).toEqual(sizes);
  expect(embedder.calls.flatMap((call) => call.texts)).toEqual(texts);
  expect(most).toBeLessThanOrEqual(32);
});

test("2,048 texts in runs of 10 are not too many runs at one time", async () => {
  const limited = createMemoryApp({
    routes: [routeOf("/embed", embed)],
    vars: { EMBEDDING_TEXTS_MAX: "10" },
    textsMax: 10,
  });
  const texts = Array.from({ length: 2_048 }, (_, index) => `text ${index}`);
  const response = await limited.request("/embed", postJson({ texts }));
  expect(((await response.json()) as { embeddings: unknown[] }).embeddings).toHaveLength(2_048);
});
