import { describe, expect, test } from "vitest";
import { AppError } from "../../runtime/errors.ts";
import type { RequestRecord } from "../../runtime/http/app.ts";
import { readinessOf } from "../../runtime/http/readiness.ts";
import { computeOf } from "../../runtime/pool/compute.ts";
import { fakeModelInfo } from "../doubles/fake-answer.ts";
import { createMemoryApp, errorOf, postJson, routeTo } from "../doubles/memory-app.ts";
import { createMemoryEmbedder } from "../doubles/memory-embedder.ts";

const routes = [
  routeTo("/post", async (request) => new Response(await request.text()), ["POST"]),
  routeTo("/get", () => new Response("body", { headers: { "x-own": "1" } }), ["GET"]),
  routeTo("/any", (request) => new Response(request.method)),
  routeTo("/away", () => Response.redirect("http://localhost/any")),
  routeTo("/embed", async (_, env) => Response.json(await env.AI.run("m", { text: "hello" }))),
  { ...routeTo("/broken", () => new Response()), handler: new AppError("function_failed") },
];
const app = createMemoryApp({ routes });

describe("the request id", () => {
  test("is the client's own where it is harmless", async () => {
    const response = await app.request("/healthz", { headers: { "x-request-id": "abc-1_2" } });
    expect(response.headers.get("x-request-id")).toBe("abc-1_2");
  });

  test.each(["a b", "x".repeat(65), "a:b", "<script>", '{"a":1}'])(
    "is a new one instead of %j (S25, S26)",
    async (id) => {
      const response = await app.request("/healthz", { headers: { "x-request-id": id } });
      expect(response.headers.get("x-request-id")).toMatch(/^[\w-]{36}$/);
    },
  );

  test.each(["/get", "/nowhere", "/away", "/broken", "/readyz"])("stands on the answer of %s", async (path) => {
    expect((await app.request(path)).headers.get("x-request-id")).toMatch(/^[\w-]{36}$/);
  });
});

describe("functions", () => {
  test("that are not there are 404", async () => {
    expect(await errorOf(await app.request("/nowhere"))).toEqual({ status: 404, code: "not_found", param: null });
  });

  test.each(["/fn/../../x", "/%2e%2e/get/../x", "/get/..%2f..%2fx", "//get", "/get/"])(
    "%s reaches none (S06, H43)",
    async (path) => {
      expect((await app.request(`http://localhost${path}`)).status).toBe(404);
    },
  );

  test("that could not be loaded are 503, and the others work (F15)", async () => {
    expect(await errorOf(await app.request("/broken"))).toMatchObject({ status: 503, code: "function_failed" });
    expect((await app.request("/get")).status).toBe(200);
  });

  test("may return a Response whose headers cannot be changed", async () => {
    const response = await app.request("/away");
    expect([response.status, response.headers.get("location")]).toEqual([302, "http://localhost/any"]);
  });
});

describe("methods", () => {
  test.each(["GET", "PUT", "DELETE", "TRACE", "FOO"])("%s on a POST route is 405 (H32)", async (method) => {
    const response = await app.request(traceable("/post", method));
    expect(response.headers.get("allow")).toBe("POST, OPTIONS");
    expect(await errorOf(response)).toMatchObject({ status: 405, code: "method_not_allowed" });
  });

  test("TRACE is 405 on a route without a list too (H32)", async () => {
    expect((await app.request(traceable("/any", "TRACE"))).status).toBe(405);
  });

  test("OPTIONS is 204 and lists them (H31)", async () => {
    const response = await app.request("/get", { method: "OPTIONS" });
    expect([response.status, response.headers.get("allow")]).toEqual([204, "GET, HEAD, OPTIONS"]);
  });

  test("OPTIONS is the function's own where it has no list", async () => {
    expect(await (await app.request("/any", { method: "OPTIONS" })).text()).toBe("OPTIONS");
  });

  test.each(["/get", "/healthz", "/readyz", "/metrics"])("HEAD of %s is GET without the body (H30)", async (path) => {
    const get = await app.request(path);
    const head = await app.request(path, { method: "HEAD" });
    const headersOf = (response: Response): object => ({
      ...Object.fromEntries(response.headers),
      "x-request-id": undefined,
    });
    expect([head.status, headersOf(head), await head.text()]).toEqual([get.status, headersOf(get), ""]);
  });

  test("operations answer GET alone", async () => {
    const response = await app.request("/metrics", { method: "POST" });
    expect([response.status, response.headers.get("allow")]).toEqual([405, "GET, HEAD, OPTIONS"]);
  });
});

describe("the body", () => {
  const limited = createMemoryApp({ routes, app: { bodyBytesMax: 10 } });
  const stream = (chunks: readonly string[]): ReadableStream =>
    new ReadableStream({
      start(controller) {
        for (const chunk of chunks) controller.enqueue(new TextEncoder().encode(chunk));
        controller.close();
      },
    });
  const post = (body: string | ReadableStream, headers: Record<string, string> = {}): Promise<Response> =>
    Promise.resolve(
      limited.request(
        new Request("http://localhost/post", { method: "POST", body, headers, duplex: "half" } as object),
      ),
    );

  test("passes up to its limit, with and without its length told", async () => {
    expect(await (await post("0123456789")).text()).toBe("0123456789");
    expect(await (await post("0123456789", { "content-length": "10" })).text()).toBe("0123456789");
    expect(await (await post(stream(["01234", "56789"]))).text()).toBe("0123456789");
  });

  test("over the limit by its own account is 413, unread (H06)", async () => {
    const body = stream(["x"]);
    const response = await post(body, { "content-length": "11" });
    expect(response.headers.get("connection")).toBe("close");
    expect(await errorOf(response)).toMatchObject({ status: 413, code: "body_too_large" });
    expect(body.locked).toBe(false);
  });

  test("without a length is 413 at the first byte over, and read no further (H07)", async () => {
    let pulls = 0;
    const endless = new ReadableStream({
      pull(controller) {
        pulls++;
        controller.enqueue(new Uint8Array(4));
      },
    });
    expect(await errorOf(await post(endless))).toMatchObject({ status: 413, code: "body_too_large" });
    expect(pulls).toBeLessThan(10);
  });

  test("with a length that lies is counted all the same", async () => {
    expect((await post("0123456789x", { "content-length": "1" })).status).toBe(413);
  });

  test.each(["gzip", "br", "gzip, gzip"])("compressed by %s is 415 (H21)", async (encoding) => {
    expect(await errorOf(await post("x", { "content-encoding": encoding }))).toMatchObject({
      status: 415,
      code: "unsupported_content_encoding",
    });
  });
});

describe("operations", () => {
  test("/healthz says that the process answers", async () => {
    expect(await (await app.request("/healthz")).json()).toEqual({ status: "ok" });
  });

  test("/readyz counts the workers", async () => {
    expect(await (await app.request("/readyz")).json()).toEqual({ status: "ready", workers: { ready: 2, wanted: 2 } });
  });

  test("/readyz names the device and the BLAS, and says when it is slow", async () => {
    const model = fakeModelInfo({ device: "cpu", blas: { name: "reference", gflops: 4 } });
    const counts = { isDraining: false, wasReady: true, workersReady: 1, workersWanted: 1, waiting: [] };
    const readiness = () => readinessOf({ ...counts, compute: computeOf(model) });
    const metrics = async () => ({ contentType: "text/plain", text: "" });
    const operations = { readiness, metrics, openApi: () => ({}) };
    const response = await createMemoryApp({ app: { operations } }).request("/readyz");
    expect(await response.json()).toEqual({
      status: "ready",
      workers: { ready: 1, wanted: 1 },
      device: "cpu",
      fast: false,
      blas: { name: "reference", gflops: 4, slow: true },
    });
  });

  test.each(["starting", "no_worker", "draining"] as const)("/readyz is 503 %s, says why and when", async (code) => {
    const problems = ["worker 1 could not start: no such model"];
    const readiness = () => ({ ready: false, code, problems, retryAfterMs: 2_000 }) as const;
    const metrics = async () => ({ contentType: "text/plain", text: "" });
    const unready = createMemoryApp({ app: { operations: { readiness, metrics, openApi: () => ({}) } } });
    const response = await unready.request("/readyz");
    expect([response.status, response.headers.get("retry-after")]).toEqual([503, "2"]);
    expect(await response.json()).toMatchObject({ error: { code }, problems });
  });

  test("/metrics has the registry's own content type", async () => {
    const response = await app.request("/metrics");
    expect(response.headers.get("content-type")).toBe("text/plain; version=0.0.4");
    expect(await response.text()).toBe("up 1\n");
  });
});

describe("the record of a request", () => {
  const records: RequestRecord[] = [];
  const embedder = createMemoryEmbedder();
  const recording = createMemoryApp({ routes, embedder, app: { onRequest: (record) => void records.push(record) } });
  const recordOf = async (path: string, init?: RequestInit): Promise<RequestRecord | undefined> => {
    await recording.request(path, init);
    return records.at(-1);
  };

  test("has the route, the status and the work", async () => {
    expect(await recordOf("/embed", postJson({}))).toMatchObject({
      id: expect.stringMatching(/^[\w-]{36}$/),
      method: "POST",
      route: "/embed",
      kind: "function",
      status: 200,
      error: undefined,
      embedded: { texts: 1, tokens: 7, queueMs: 3, batchMs: 7 },
    });
  });

  test.each([
    ["/nowhere", "unmatched", "unmatched", 404],
    ["/healthz", "/healthz", "operation", 200],
    ["/broken", "/broken", "function", 503],
  ] as const)("of %s belongs to a closed set of routes (S27)", async (path, route, kind, status) => {
    expect(await recordOf(path)).toMatchObject({ route, kind, status });
  });

  test("names the failure", async () => {
    expect((await recordOf("/broken"))?.error?.code).toBe("function_failed");
  });
});

/** TRACE cannot be the method of a Request; a server's look-alike may have it. */
function traceable(path: string, method: string): Request {
  const request = new Request(`http://localhost${path}`);
  return Object.defineProperty(request, "method", { value: method });
}
