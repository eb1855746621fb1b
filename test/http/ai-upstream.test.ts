import { describe, expect, test } from "vitest";
import { systemClock } from "../../runtime/clock.ts";
import { AppError } from "../../runtime/errors.ts";
import { createAiUpstream, type UpstreamRecord } from "../../runtime/http/ai-upstream.ts";
import { embedForAi } from "../../runtime/routing/ai-binding.ts";
import { createMemoryEmbedder, MODEL, vectorOf } from "../doubles/memory-embedder.ts";

interface Given {
  readonly upstream: (request: Request) => Promise<Response>;
  readonly embedder: ReturnType<typeof createMemoryEmbedder>;
  readonly records: readonly UpstreamRecord[];
  gateways(): number;
}

function given(intercept?: NonNullable<Parameters<typeof createMemoryEmbedder>[0]>["intercept"]): Given {
  const embedder = createMemoryEmbedder({ ...(intercept !== undefined && { intercept }) });
  const records: UpstreamRecord[] = [];
  let gateways = 0;
  const upstream = createAiUpstream({
    embed: (run) => embedForAi(embedder, run, { textsMax: 100 }),
    models: () => embedder.models(),
    clock: systemClock,
    requestTimeoutMs: 5_000,
    bodyBytesMax: 10_000,
    onRun: (record) => void records.push(record),
    onGateway: () => void gateways++,
  });
  return { upstream, embedder, records, gateways: () => gateways };
}

const HEADERS = { "content-type": "application/json", "cf-consn-sdk-version": "2.0.0", "cf-consn-model-id": "m" };

/** As the class sends it, and as wrangler's proxy for remote bindings does. */
const framings: Readonly<Record<string, (path: string, init?: Omit<RequestInit, "headers">) => Request>> = {
  direct: (path, init) =>
    new Request(`http://workers-binding.ai${path}`, {
      method: "POST",
      ...init,
      headers: HEADERS,
    }),
  proxied: (path, init) => {
    const inner = Object.entries(HEADERS).map(([name, value]) => [`mf-header-${name}`, value]);
    const headers = { "mf-binding": "AI", "mf-url": `https://workers-binding.ai${path}`, ...Object.fromEntries(inner) };
    return new Request("http://127.0.0.1:9700/", { method: "POST", ...init, headers });
  },
};
const run = (inputs: unknown): RequestInit => ({ body: JSON.stringify({ inputs, options: {} }) });

describe.each(Object.entries(framings))("the %s framing", (_, frame) => {
  test("a run is answered with the vectors", async () => {
    const { upstream, embedder, records } = given();
    const response = await upstream(frame("/run?version=3", run({ text: ["one", "two"], pooling: "cls" })));
    // Exactly so: the class looks for nothing else.
    expect(response.headers.get("content-type")).toBe("application/json");
    const text = await response.text();
    expect(response.headers.get("content-length")).toBe(String(text.length));
    const answer = JSON.parse(text) as { data: number[][] };
    expect(answer).toMatchObject({ shape: [2, 4], pooling: "mean", model: MODEL, tokens: [5, 5], truncated: [] });
    expect(answer.data.map((row) => Float32Array.from(row))).toEqual([vectorOf("one", 4), vectorOf("two", 4)]);
    expect(embedder.calls).toMatchObject([{ model: "m", texts: ["one", "two"], pooling: "cls", normalize: true }]);
    expect(records).toMatchObject([{ id: response.headers.get("cf-ai-req-id"), error: undefined }]);
  });

  test("a failure has status, code and text of Workers AI", async () => {
    const { upstream } = given(() => Promise.reject(new AppError("queue_full", { retryAfterMs: 50 })));
    const response = await upstream(frame("/run?version=3", run({ text: "a" })));
    expect([response.status, await response.json()]).toEqual([
      429,
      {
        success: false,
        errors: [{ code: 3040, message: "The queue is full; nothing was started. [queue_full, retry after 50 ms]" }],
      },
    ]);
    expect(response.headers.get("cf-ai-req-id")).toMatch(/^[\w-]{36}$/);
  });

  test("a failure that the caller is to blame for is an AiError", async () => {
    const response = await given().upstream(frame("/run?version=3", run({ text: [5] })));
    expect([response.status, await response.json()]).toEqual([
      400,
      { internalCode: 5006, name: "AiError", description: "A text must be a string. [invalid_request, text[0]]" },
    ]);
  });

  test("a run through an AI Gateway is served, and told of once", async () => {
    const { upstream, gateways } = given();
    for (let time = 0; time < 3; time++) {
      expect((await upstream(frame("/ai-gateway/run?version=3", run({ text: "a" })))).status).toBe(200);
    }
    expect(gateways()).toBe(1);
  });

  test("models are listed", async () => {
    const response = await given().upstream(frame("/ai-api/models/search?search=MEMORY", { method: "GET" }));
    expect(await response.json()).toMatchObject({ success: true, result: [{ name: MODEL }] });
    const none = await given().upstream(frame("/ai-api/models/search?search=none", { method: "GET" }));
    expect(await none.json()).toEqual({ success: true, result: [] });
  });

  test.each([
    ["POST", "/to-everything/markdown/transformer"],
    ["POST", "/ai-gateway/universal/run/g"],
    ["POST", "/autorag/rags/r/search"],
    ["GET", "/run?version=3"],
    ["POST", "/"],
  ])("%s %s is not here: 501", async (method, path) => {
    const response = await given().upstream(frame(path, { method }));
    expect([response.status, await response.json()]).toEqual([
      501,
      { success: false, errors: [{ code: 7000, message: "not available locally" }] },
    ]);
  });

  test.each([
    ["no JSON", "{", 400, 5006],
    ["nothing", undefined, 400, 5006],
    ["a number", "5", 400, 5006],
    ["more than the limit (M10)", JSON.stringify({ inputs: { text: "a".repeat(10_000) } }), 413, 3006],
  ])("a body of %s", async (_name, body, status, internalCode) => {
    const response = await given().upstream(frame("/run?version=3", body === undefined ? {} : { body }));
    expect([response.status, await response.json()]).toMatchObject([status, { internalCode }]);
  });

  test("a caller that goes away ends its call", async () => {
    const client = new AbortController();
    const { upstream, embedder } = given(
      ({ signal }) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener("abort", () => reject(new AppError("client_gone")));
        }),
    );
    const answer = upstream(frame("/run?version=3", { ...run({ text: "a" }), signal: client.signal }));
    while (embedder.calls.length === 0) await Promise.resolve();
    client.abort();
    expect((await answer).status).toBe(408);
  });

  test.each([
    ["an Origin, whichever", { origin: "http://127.0.0.1:9700" }],
    ["a browser's own headers", { "sec-fetch-site": "same-origin" }],
  ])("a request with %s is refused before anything runs", async (_name, headers) => {
    const { upstream, embedder } = given();
    const request = frame("/run?version=3", run({ text: "a" }));
    for (const [name, value] of Object.entries(headers)) request.headers.set(name, value);
    expect((await upstream(request)).status).toBe(403);
    expect(embedder.calls).toEqual([]);
  });
});

test.each([
  ["another host", "http://evil.example/run?version=3", {}],
  ["this host without framing", "http://127.0.0.1:9700/run?version=3", {}],
  ["another host with framing", "http://evil.example/", { "mf-url": "https://workers-binding.ai/run?version=3" }],
  ["a framing for another service", "http://127.0.0.1:9700/", { "mf-url": "https://example.com/run?version=3" }],
  ["a framing that is no URL", "http://127.0.0.1:9700/", { "mf-url": "run" }],
])("%s is refused", async (_, url, headers) => {
  const { upstream, embedder } = given();
  const response = await upstream(
    new Request(url, { method: "POST", headers: { ...HEADERS, ...headers }, ...run({ text: "a" }) }),
  );
  expect(response.status).toBe(403);
  expect(embedder.calls).toEqual([]);
});
