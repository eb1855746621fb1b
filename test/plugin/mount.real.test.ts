import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { errorOf, postJson } from "../doubles/memory-app.ts";
import { createFakeHost, type FakeHost } from "../doubles/fake-host.ts";
import { until } from "../doubles/wait.ts";
import { type OuterServer, outerServers } from "./outer-servers.ts";

let fake: FakeHost;
beforeAll(async () => {
  fake = await createFakeHost({ server: { bodyBytesMax: 50_000 } });
  await fake.host.ready();
});
afterAll(() => fake[Symbol.asyncDispose]());

describe.each(Object.entries(outerServers))("mounted in %s", (_name, open) => {
  let outer: OuterServer;
  beforeAll(async () => {
    outer = await open(fake.host);
  });
  afterAll(() => outer[Symbol.asyncDispose]());

  const embed = (body: unknown, headers = {}): Promise<Response> =>
    fetch(`${outer.url}/embed/api/v1/embed`, postJson(body, headers));

  test("it embeds below its prefix (H44)", async () => {
    const response = await embed({ texts: ["hello", "wörld"] });
    expect(await response.json()).toMatchObject({ dimension: 8, embeddings: [{ length: 8 }, { length: 8 }] });
    expect(response.status).toBe(200);
    expect(response.headers.get("x-request-id")).toMatch(/^[\w-]+$/);
  });

  test("its operations are there as well, HEAD included", async () => {
    const response = await fetch(`${outer.url}/embed/readyz`);
    expect(await response.json()).toMatchObject({ status: "ready" });
    const head = await fetch(`${outer.url}/embed/readyz`, { method: "HEAD" });
    expect([head.status, await head.text()]).toEqual([200, ""]);
  });

  test("its errors are answers, and none comes to the server's error handler (H44)", async () => {
    expect(await errorOf(await embed({ texts: [7] }))).toMatchObject({ status: 400, param: "texts[0]" });
    expect(await errorOf(await fetch(`${outer.url}/embed/nowhere`))).toMatchObject({ status: 404, code: "not_found" });
    const long = await embed({ texts: ["x".repeat(60_000)] });
    expect(await errorOf(long)).toMatchObject({ status: 413, code: "body_too_large" });
    expect(outer.failures).toEqual([]);
  });

  test("the server's own routes stay its own", async () => {
    expect(await (await fetch(`${outer.url}/own`)).text()).toBe("own");
    expect((await fetch(`${outer.url}/api/v1/embed`, postJson({ texts: ["x"] }))).status).toBe(404);
  });

  test("pages of the server's own name may call, behind a TLS proxy too; those of others may not (S02)", async () => {
    const { host } = new URL(outer.url);
    for (const origin of [`http://${host}`, `https://${host}`]) {
      expect((await embed({ texts: ["x"] }, { origin })).status).toBe(200);
    }
    const foreign = await embed({ texts: ["x"] }, { origin: "https://evil.example" });
    expect(await errorOf(foreign)).toMatchObject({ status: 403, code: "origin_not_allowed" });
  });

  test("a client that goes away takes its call out of the queue", async () => {
    const [goneBefore, startedBefore] = [await clientsGone(), await batchesStarted()];
    const client = new AbortController();
    const answer = fetch(`${outer.url}/embed/api/v1/embed`, {
      ...postJson({ texts: ["fault:hold:300"] }),
      signal: client.signal,
    });
    await until("the batch runs", async () => (await batchesStarted()) > startedBefore);
    client.abort();
    await expect(answer).rejects.toThrow(/abort/);
    await until("the call has ended", async () => (await clientsGone()) === goneBefore + 1);
  });
});

async function metric(pattern: RegExp): Promise<number> {
  const text = await (await fake.host.fetch(new Request("http://localhost/metrics"))).text();
  return Number(pattern.exec(text)?.[1] ?? 0);
}

function clientsGone(): Promise<number> {
  return metric(/^embedding_rejections_total\{code="client_gone"\} (\d+)/m);
}

function batchesStarted(): Promise<number> {
  return metric(/^embedding_gil_wait_seconds_count\S* (\d+)/m);
}
