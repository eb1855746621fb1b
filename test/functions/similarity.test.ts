import { expect, test } from "vitest";
import * as similarity from "../../functions/api/v1/similarity.ts";
import { AppError } from "../../runtime/errors.ts";
import { createMemoryApp, errorOf, postJson, routeOf } from "../doubles/memory-app.ts";
import { createMemoryEmbedder, MODEL } from "../doubles/memory-embedder.ts";

const PATH = "/api/v1/similarity";
const app = createMemoryApp({ routes: [routeOf(PATH, similarity)] });

test("scores each sentence against the source: the same text has 1", async () => {
  const response = await app.request(PATH, postJson({ source: "cat", sentences: ["dog", "cat"] }));
  const answer = (await response.json()) as { scores: number[]; model: string };
  expect(answer.model).toBe(MODEL);
  expect(answer.scores[1]).toBeCloseTo(1, 6);
  expect(Math.abs(answer.scores[0] ?? 1)).toBeLessThan(0.999);
});

test.each([
  [{ source: 5, sentences: ["a"] }, "invalid_request", "source"],
  [{ sentences: ["a"] }, "invalid_request", "source"],
  [{ source: "a", sentences: [] }, "empty_input", "sentences"],
  [{ source: "a", sentences: ["b", "\udc00"] }, "invalid_unicode", "sentences[1]"],
])("%j is a 400 that names the field", async (body, code, param) => {
  expect(await errorOf(await app.request(PATH, postJson(body)))).toEqual({ status: 400, code, param });
});

test("names a poison sentence", async () => {
  const embedder = createMemoryEmbedder({
    intercept: ({ texts }) =>
      texts.includes("bad") ? Promise.reject(new AppError("poison_input", { param: "texts[1]" })) : undefined,
  });
  const failing = createMemoryApp({ embedder, routes: [routeOf(PATH, similarity)] });
  const response = await failing.request(PATH, postJson({ source: "a", sentences: ["b", "bad"] }));
  expect(await errorOf(response)).toEqual({ status: 422, code: "poison_input", param: "sentences[1]" });
});
