import { once } from "node:events";
import { Agent, createServer, type IncomingMessage, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "vitest";
import { forward } from "../../runtime/http/forward.ts";
import { withTimeout } from "../doubles/wait.ts";

const agent = new Agent({ keepAlive: true });
let close = async (): Promise<void> => {};
afterEach(() => close());

/** A server that answers with `listener`, and the way to it. */
async function given(listener: RequestListener): Promise<(path: string, init?: RequestInit) => Promise<Response>> {
  const server = createServer(listener).listen(0, "127.0.0.1");
  await once(server, "listening");
  close = async () => {
    agent.destroy();
    server.closeAllConnections();
    server.close();
  };
  const target = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  return (path, init) => {
    const request = new Request(`http://outer.example${path}`, { duplex: "half", ...init });
    return forward(request, {
      target,
      agent,
      url: new URL(request.url),
      headers: { "x-request-id": "id-1" },
      signal: new AbortController().signal,
    });
  };
}

async function echo(incoming: IncomingMessage): Promise<object> {
  const body = Buffer.concat(await incoming.toArray()).toString();
  const { host, te, "x-a": own, "x-request-id": id } = incoming.headers;
  return { method: incoming.method, url: incoming.url, host, te, own, id, body };
}

test("a request arrives as it was, with our own headers and without those of one connection", async () => {
  const ask = await given(async (incoming, outgoing) => outgoing.end(JSON.stringify(await echo(incoming))));
  const init = { method: "POST", headers: { "x-a": "1", te: "trailers" }, body: new Blob(["grüße"]).stream() };
  const answer = await ask("/a%20b/?q=%20+", init);
  expect(await answer.json()).toEqual({
    method: "POST",
    url: "/a%20b/?q=%20+",
    host: "outer.example",
    own: "1",
    id: "id-1",
    body: "grüße",
  });
});

test("an answer comes back as it was: no redirect is followed, nothing decoded, each cookie for itself", async () => {
  const ask = await given((_, outgoing) => {
    const headers = { location: "/there", "content-encoding": "gzip", "set-cookie": ["a=1", "b=2"], "keep-alive": "x" };
    outgoing.writeHead(302, headers).end("not gzip");
  });
  const answer = await ask("/");
  expect([answer.status, answer.headers.get("location"), answer.headers.get("content-encoding")]).toEqual([
    302,
    "/there",
    "gzip",
  ]);
  expect(answer.headers.getSetCookie()).toEqual(["a=1", "b=2"]);
  expect(answer.headers.has("keep-alive")).toBe(false);
  expect(await answer.text()).toBe("not gzip");
});

test.each([
  ["HEAD", 200],
  ["GET", 204],
  ["GET", 304],
])("%s answered %i has no body", async (method, status) => {
  const ask = await given((_, outgoing) => outgoing.writeHead(status, { etag: '"1"' }).end());
  const answer = await ask("/", { method });
  expect([answer.status, answer.body, answer.headers.get("etag")]).toEqual([status, null, '"1"']);
});

test.each([
  ["short", 10],
  ["long", 100_000],
])("an answer that is cut is seen as cut: a %s one (M05)", async (_, length) => {
  const ask = await given((__, outgoing) => {
    outgoing.writeHead(200, { "content-length": length }).write("half", () => outgoing.destroy());
  });
  await expect(ask("/").then((answer) => answer.text())).rejects.toThrow("aborted");
});

test.each([
  ["short", 10],
  ["long", 100_000],
])("a body goes through whole: a %s one", async (_, length) => {
  const body = "x".repeat(length);
  const ask = await given(async (incoming, outgoing) => {
    const bytes = Buffer.concat(await incoming.toArray());
    outgoing.writeHead(200, { "content-length": bytes.byteLength }).end(bytes);
  });
  const answer = await ask("/", { method: "POST", headers: { "content-length": String(length) }, body });
  expect(await answer.text()).toBe(body);
});

test("no server: it rejects", async () => {
  const ask = await given(() => {});
  await close();
  await expect(ask("/")).rejects.toMatchObject({ code: "ECONNREFUSED" });
});

test("a client that goes away resets the connection", async () => {
  const { promise: gone, resolve } = Promise.withResolvers<string | undefined>();
  const client = new AbortController();
  const ask = await given((incoming) => {
    incoming.socket.once("error", (error: NodeJS.ErrnoException) => resolve(error.code));
    client.abort();
  });
  await expect(ask("/", { signal: client.signal })).rejects.toThrow("aborted");
  expect(await withTimeout(gone, "the reset")).toBe("ECONNRESET");
});

test("an answer that nobody reads on resets the connection", async () => {
  const { promise: gone, resolve } = Promise.withResolvers<string | undefined>();
  const ask = await given((incoming, outgoing) => {
    incoming.socket.once("error", (error: NodeJS.ErrnoException) => resolve(error.code));
    outgoing.writeHead(200).write("first");
  });
  const reader = (await ask("/")).body?.getReader();
  await reader?.read();
  await reader?.cancel();
  expect(await withTimeout(gone, "the reset")).toBe("ECONNRESET");
});
