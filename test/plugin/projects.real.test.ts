import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import os from "node:os";
import path from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Miniflare } from "../../runtime/miniflare.ts";
import { createFakeHost, type FakeHost } from "../doubles/fake-host.ts";
import { makeFakeModel } from "../doubles/fake-model.ts";

const root = mkdtempSync(path.join(os.tmpdir(), "embedge-projects-"));
const write = (name: string, content: string): void => {
  mkdirSync(path.dirname(path.join(root, name)), { recursive: true });
  writeFileSync(path.join(root, name), content);
};
const embedding = `const { shape } = await env.AI.run(env.EMBEDDING_MODEL, { text: "x" });`;

let fake: FakeHost;
beforeAll(async () => {
  write("own/hello.mjs", 'export default { fetch: () => new Response("own") };');
  write("shop/wrangler.toml", 'name = "shop"\nroutes = ["shop.example/*"]\n[vars]\nCURRENCY = "EUR"\n');
  write(
    "shop/functions/price.mjs",
    `export default { async fetch(request, env) { ${embedding} return Response.json([env.CURRENCY, shape[1]]); } };`,
  );
  write("search/wrangler.json", '{ "main": "worker.mjs", "routes": [{ "pattern": "shop.example/search/*" }] }');
  write(
    "search/worker.mjs",
    `export default { async fetch(request, env) { ${embedding} return Response.json([new URL(request.url).pathname, shape[1]]); } };`,
  );
  fake = await createFakeHost({
    functions: { dir: path.join(root, "own") },
    projects: { shop: path.join(root, "shop"), search: path.join(root, "search") },
    server: { port: 0 },
  });
});
afterAll(async () => {
  await fake[Symbol.asyncDispose]();
  rmSync(root, { recursive: true });
});

test("several Workers projects share one pool, and their routes choose between them", async () => {
  const ask = async (url: string): Promise<unknown> => (await fake.host.fetch(new Request(url))).json();
  expect(await ask("http://shop.example/price")).toEqual(["EUR", 8]);
  expect(await ask("http://shop.example/search/a//b/")).toEqual(["/search/a//b/", 8]);
  expect(await (await fake.host.fetch(new Request("http://elsewhere.example/hello"))).text()).toBe("own");
  expect(fake.workerPids()).toHaveLength(1);
});

test("the hosts of their routes are names of the host's own port, others are not (S01)", async () => {
  const { url } = await fake.host.listen();
  expect(await get(`${url}/price`, "shop.example")).toBe('["EUR",8]');
  expect(await get(`${url}/price`, "other.example")).toContain("host_not_allowed");
});

test("env of a Worker embeds outside of any request, and new options keep the pool", async () => {
  const model = makeFakeModel();
  const pool = { python: model.python, blas: "none", device: "cpu", pin: "off", workers: 1 } as const;
  const options = {
    script: "export default { fetch: () => new Response() }",
    embedge: { models: { default: model.folder }, pool },
  };
  const mf = new Miniflare(options);
  try {
    const run = async (): Promise<unknown> => {
      const { AI, EMBEDDING_MODEL } = await mf.getBindings();
      return AI.run(String(EMBEDDING_MODEL), { text: ["a", "b"] });
    };
    expect(await run()).toMatchObject({ shape: [2, 8] });
    await mf.setOptions({ ...options, bindings: { MORE: "1" } });
    expect(await run()).toMatchObject({ shape: [2, 8] });
    expect(model.workerPids()).toHaveLength(1);
    await expect(mf.setOptions({ ...options, routes: ["a*b/"] })).rejects.toMatchObject({ code: "ERR_INFIX_WILDCARD" });
    expect(await mf.getBindings()).toMatchObject({ MORE: "1" });
  } finally {
    await mf.dispose();
    await model.remove();
  }
});

/** `fetch` cannot name another host than the one it connects to. */
function get(url: string, host: string): Promise<string> {
  return new Promise((resolve, reject) => {
    http.get(url, { headers: { host } }, (response) => resolve(text(response))).once("error", reject);
  });
}
