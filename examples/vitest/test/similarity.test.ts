import { env, exports } from "cloudflare:workers";
import { expect, test } from "vitest";
import golden from "./golden.json";

async function similarity(...texts: string[]): Promise<number> {
  const request = new Request("http://example.com/", { method: "POST", body: JSON.stringify({ texts }) });
  const response = await exports.default.fetch(request);
  expect(response.status).toBe(200);
  return ((await response.json()) as { similarity: number }).similarity;
}

test("env.AI gives the vector of the model, to the fifth decimal", async () => {
  const { data, shape } = await env.AI.run("@cf/baai/bge-base-en-v1.5", { text: golden.text });
  expect(shape).toEqual([1, golden.vector.length]);
  expect(data[0]).toEqual(golden.vector.map((value) => expect.closeTo(value, 5)));
});

test("what means the same is more alike than what does not", async () => {
  expect(await similarity("a cat", "a kitten")).toBeGreaterThan(await similarity("a cat", "a tax return"));
});

test("a refusal is an error of Workers AI", async () => {
  await expect(env.AI.run("@cf/unknown/model", { text: "a" })).rejects.toThrow("There is no model");
});
