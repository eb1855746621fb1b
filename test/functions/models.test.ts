import { expect, test } from "vitest";
import { errorOf } from "../doubles/memory-app.ts";
import { createMemoryEmbedder, MODEL } from "../doubles/memory-embedder.ts";
import { createMemoryFunctions, modelInfo } from "../doubles/memory-functions.ts";

const ALIAS = "@cf/baai/bge";
const memory = createMemoryEmbedder();
const served = { name: MODEL, aliases: [ALIAS], info: modelInfo(), stage: "loaded", memoryBytes: 0 } as const;
const app = await createMemoryFunctions({ embedder: { ...memory, models: () => [served] } });
const ours = (id: string): object => ({ id, object: "model", created: 0, owned_by: "embedge" });

test("GET /v1/models lists the model and its aliases", async () => {
  const response = await app.request("/v1/models");
  expect(await response.json()).toEqual({ object: "list", data: [ours(MODEL), ours(ALIAS)] });
});

test.each([MODEL, "@cf/baai/bge", "%40cf%2Fbaai%2Fbge"])("GET /v1/models/%s is one of them", async (id) => {
  const response = await app.request(`/v1/models/${id}`);
  expect(await response.json()).toEqual(ours(decodeURIComponent(id)));
});

test("a model that is not there is a 404", async () => {
  const answer = await errorOf(await app.request("/v1/models/none"));
  expect(answer).toEqual({ status: 404, code: "model_not_found", param: "model" });
});

test("what makes no vectors is not listed, as Cloudflare lists every model", async () => {
  const { default: handler } = await import("../../functions/v1/models/index.ts");
  const model = {
    id: "1",
    name: "llama",
    description: "",
    task: { name: "Text Generation" },
    tags: [],
    properties: [],
  };
  const AI = { run: () => Promise.reject(new Error("no")), models: async () => [model] };
  const context = { params: {}, waitUntil() {}, passThroughOnException() {} };
  const response = await handler.fetch(new Request("http://host/"), { AI }, context);
  expect(await response.json()).toEqual({ object: "list", data: [] });
});
