import { convertV4MiniflareOptions, Miniflare as TrueMiniflare } from "miniflare";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Miniflare, type MiniflareOptions } from "../../runtime/miniflare.ts";
import { makeFakeModel, type FakeModel } from "../doubles/fake-model.ts";

/** What the suite uses of either. */
interface Instance {
  readonly ready: Promise<URL>;
  dispatchFetch(input: string, init?: RequestInit): Promise<Response>;
  getBindings(workerName?: string): Promise<Record<string, unknown>>;
  getWorker(workerName?: string): Promise<{ fetch(input: string, init?: RequestInit): Promise<Response> }>;
  setOptions(options: MiniflareOptions): Promise<void>;
  dispose(): Promise<void>;
}

let model: FakeModel;
beforeAll(() => {
  model = makeFakeModel();
});
afterAll(() => model.remove());

type TrueOptions = ConstructorParameters<typeof TrueMiniflare>[0];

/** The true one, with options of the shape that everybody writes; version 5 wants them converted. */
class FlatMiniflare extends TrueMiniflare {
  constructor(options: MiniflareOptions) {
    super(convert(options));
  }

  override setOptions(options: MiniflareOptions | TrueOptions): Promise<void> {
    return super.setOptions(convert(options as MiniflareOptions));
  }
}

function convert(options: MiniflareOptions): TrueOptions {
  return convertV4MiniflareOptions({ cf: false, ...options } as Parameters<typeof convertV4MiniflareOptions>[0]);
}

/** The same suite runs over both: only the constructor differs. */
const constructors: Readonly<Record<string, (options: MiniflareOptions) => Instance>> = {
  "Miniflare 5": (options) => new FlatMiniflare(options) as unknown as Instance,
  embedge: (options) => {
    const pool = { python: model.python, blas: "none", device: "cpu", pin: "off", workers: 1 } as const;
    return new Miniflare({ ...options, embedge: { models: { default: model.folder }, pool } });
  },
};

const echo = `export default {
  async fetch(request, env) {
    const { pathname, search, host } = new URL(request.url);
    if (pathname === "/throw") throw new TypeError("on purpose");
    if (pathname === "/away") return Response.redirect(new URL("/landed?x=1", request.url), 302);
    const headers = { "x-name": env.NAME ?? "", "set-cookie": "a=1" };
    return Response.json({ method: request.method, host, pathname, search, body: await request.text(), asked: request.headers.get("x-asked") }, { status: 201, headers });
  }
}`;
const named = (name: string): string => `export default { fetch: () => new Response("${name}") }`;

describe.each(Object.entries(constructors))("a test written for Miniflare, over %s", (_name, construct) => {
  let mf: Instance;
  beforeAll(async () => {
    mf = construct({
      name: "echo",
      modules: true,
      script: echo,
      compatibilityDate: "2026-07-01",
      bindings: { NAME: "n", LIMITS: { max: 3 } },
    });
    await mf.ready;
  });
  afterAll(() => mf.dispose());

  test("ready is the address of a port that answers", async () => {
    const url = await mf.ready;
    expect(url).toBeInstanceOf(URL);
    expect(await (await fetch(new URL("/over/http?q=1", url))).json()).toMatchObject({
      pathname: "/over/http",
      search: "?q=1",
    });
  });

  test("dispatchFetch hands over method, URL, headers and body, and the answer's status and headers back", async () => {
    const response = await mf.dispatchFetch("http://example.com/a%20b?q=1", {
      method: "PUT",
      headers: { "x-asked": "yes" },
      body: "grüße",
    });
    expect([response.status, response.headers.get("x-name"), response.headers.getSetCookie()]).toEqual([
      201,
      "n",
      ["a=1"],
    ]);
    expect(await response.json()).toEqual({
      method: "PUT",
      host: "example.com",
      pathname: "/a%20b",
      search: "?q=1",
      body: "grüße",
      asked: "yes",
    });
  });

  test("what a Worker throws is 500 with the stack for dispatchFetch, and a rejection for getWorker's fetch", async () => {
    const response = await mf.dispatchFetch("http://example.com/throw");
    expect([response.status, response.headers.get("content-type")]).toEqual([500, "text/plain;charset=UTF-8"]);
    expect(await response.text()).toMatch(/^TypeError: on purpose\n {4}at /);
    const worker = await mf.getWorker();
    await expect(worker.fetch("http://example.com/throw")).rejects.toThrow(/on purpose/);
  });

  test("dispatchFetch follows redirects unless it is told not to", async () => {
    const followed = await mf.dispatchFetch("http://example.com/away");
    expect(await followed.json()).toMatchObject({ pathname: "/landed", search: "?x=1" });
    const response = await mf.dispatchFetch("http://example.com/away", { redirect: "manual" });
    expect([response.status, response.headers.get("location")]).toEqual([302, "http://example.com/landed?x=1"]);
    await response.body?.cancel();
  });

  test("getBindings gives what the Worker finds in env", async () => {
    expect(await mf.getBindings()).toMatchObject({ NAME: "n", LIMITS: { max: 3 } });
  });

  test("getWorker gives a Worker by its name, or the first; an unknown one rejects", async () => {
    for (const worker of [await mf.getWorker(), await mf.getWorker("echo")]) {
      expect(await (await worker.fetch("http://example.com/direct")).json()).toMatchObject({ pathname: "/direct" });
    }
    await expect(mf.getWorker("nobody")).rejects.toThrow(/"nobody" worker not found/);
  });
});

describe.each(Object.entries(constructors))("several Workers and new options, over %s", (_name, construct) => {
  test("routes choose by their specificity, and the first Worker answers the rest", async () => {
    const worker = (name: string, routes: readonly string[] = []): MiniflareOptions => ({
      name,
      modules: true,
      script: named(name),
      compatibilityDate: "2026-07-01",
      routes,
    });
    const workers = [
      worker("first"),
      worker("site", ["example.com/*"]),
      worker("api", ["example.com/api/*", "*.example.com/exact"]),
    ];
    const mf = construct({ workers });
    try {
      const asked = [
        ["http://other.example/", "first"],
        ["http://example.com/x?q=1", "site"],
        ["http://example.com/api/x", "api"],
        ["http://www.example.com/exact", "api"],
        ["http://www.example.com/exact?q=1", "first"],
      ] as const;
      for (const [url, name] of asked) expect([url, await (await mf.dispatchFetch(url)).text()]).toEqual([url, name]);
      expect(await (await (await mf.getWorker("site")).fetch("http://nowhere/")).text()).toBe("site");
    } finally {
      await mf.dispose();
    }
  });

  test("setOptions replaces the code and the bindings; dispose is the end", async () => {
    const options = (value: string): MiniflareOptions => ({
      modules: true,
      script: `export default { fetch: (request, env) => new Response("${value} " + env.VALUE) }`,
      compatibilityDate: "2026-07-01",
      bindings: { VALUE: value },
    });
    const mf = construct(options("one"));
    expect(await (await mf.dispatchFetch("http://localhost/")).text()).toBe("one one");
    await mf.setOptions(options("two"));
    expect(await (await mf.dispatchFetch("http://localhost/")).text()).toBe("two two");
    expect(await mf.getBindings()).toMatchObject({ VALUE: "two" });
    await mf.dispose();
    await expect((async () => mf.dispatchFetch("http://localhost/"))()).rejects.toMatchObject({ code: "ERR_DISPOSED" });
  });
});
