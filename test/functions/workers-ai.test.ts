import { expect, test } from "vitest";
import { inWorkersAi } from "../../functions/_workers_ai.ts";
import { AppError, type ErrorCode } from "../../runtime/errors.ts";
import { failureOf } from "../../runtime/routing/error-response.ts";
import { upstreamCodeOf } from "../../runtime/routing/upstream-error.ts";
import { postJson } from "../doubles/memory-app.ts";
import { createMemoryEmbedder, MODEL } from "../doubles/memory-embedder.ts";
import { createMemoryFunctions, modelInfo } from "../doubles/memory-functions.ts";

const embedder = createMemoryEmbedder({ dimensions: 8, info: () => modelInfo() });
const app = await createMemoryFunctions({ embedder });
const RUN = "/client/v4/accounts/0123/ai/run";

test.each(["%40cf%2Fbaai%2Fbge", "@cf/baai/bge"])("the model may stand in the path as %s", async (model) => {
  const response = await app.request(`${RUN}/${model}`, postJson({ text: ["one", "two"] }));
  expect(await response.json()).toEqual({
    success: true,
    errors: [],
    messages: [],
    result: expect.objectContaining({ shape: [2, 8], pooling: "mean" }),
  });
  expect(embedder.calls.at(-1)?.model).toBe("@cf/baai/bge");
});

test("one text is a list of one", async () => {
  const response = await app.request(`${RUN}/m`, postJson({ text: "one" }));
  expect(await response.json()).toMatchObject({ result: { shape: [1, 8] } });
});

test("more texts than one run may hold are refused, as Cloudflare does", async () => {
  const response = await app.request(`${RUN}/m`, postJson({ text: Array(101).fill("a") }));
  expect([response.status, await response.json()]).toMatchObject([400, { success: false, errors: [{ code: 3006 }] }]);
});

test("GET ai/models/search lists what is served", async () => {
  const search = async (text: string): Promise<unknown> =>
    (await app.request(`/client/v4/accounts/0123/ai/models/search?search=${text}`)).json();
  expect(await search("memory")).toMatchObject({ success: true, result: [{ name: MODEL }] });
  expect(await search("other")).toMatchObject({ success: true, result: [] });
});

/** What `env.AI.run` may fail with. */
const codes: readonly ErrorCode[] = [
  "invalid_request",
  "empty_input",
  "invalid_unicode",
  "too_many_inputs",
  "input_too_long",
  "model_not_found",
  "queue_full",
  "starting",
  "no_worker",
  "worker_failed",
  "deadline_exceeded",
  "internal_error",
];

test.each(codes)("%s has the same number over REST as in env.AI", async (code) => {
  const error = new AppError(code);
  const { errors } = (await inWorkersAi(failureOf(error)).json()) as { errors: { code: number }[] };
  expect(errors).toMatchObject([{ code: upstreamCodeOf(error).code }]);
});
