import { describe, expect, test } from "vitest";
import { routeTo } from "../doubles/memory-app.ts";
import { answerIn, memoryServers } from "../doubles/memory-server.ts";
import { connectRaw } from "../doubles/raw-client.ts";

const HOST = "Host: localhost\r\n";
const serve = memoryServers();
const echo = routeTo("/echo", async (request) => new Response(await request.text()));
const post = (length: number, body: string): string =>
  `POST /echo HTTP/1.1\r\n${HOST}Content-Length: ${length}\r\n\r\n${body}`;

describe("what is refused before or beside the app", () => {
  test("a body too long by its own account: 413, then the end (H06)", async () => {
    const { port } = await serve([echo]);
    const text = await (await connectRaw(port, post(101, ""))).closed();
    expect(answerIn(text)).toEqual({ status: 413, code: "body_too_large", closes: true });
  });

  test("a chunked body without end: 413, then the end (H07)", async () => {
    const { port } = await serve([echo]);
    const head = `POST /echo HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n`;
    const client = await connectRaw(port, `${head}80\r\n${"x".repeat(128)}\r\n`);
    expect(answerIn(await client.closed())).toEqual({ status: 413, code: "body_too_large", closes: true });
  });

  test("a body that does not come: 408 (H08, H10)", async () => {
    const { port } = await serve([echo], { headersTimeoutMs: 50, bodyTimeoutMs: 50 });
    const text = await (await connectRaw(port, post(50, "only this"))).closed();
    expect(answerIn(text)).toEqual({ status: 408, code: "body_timeout", closes: true });
  });

  test("headers that do not come: 408 (H09)", async () => {
    const { port } = await serve([echo], { headersTimeoutMs: 50, bodyTimeoutMs: 50 });
    expect(answerIn(await (await connectRaw(port, "GET / HT")).closed()).status).toBe(408);
  });

  test.each([
    ["length and chunks", `POST /echo HTTP/1.1\r\n${HOST}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n`],
    ["two lengths", `POST /echo HTTP/1.1\r\n${HOST}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello`],
    ["an unknown coding", `POST /echo HTTP/1.1\r\n${HOST}Transfer-Encoding: xchunked\r\n\r\n`],
    ["a space before the colon", `GET / HTTP/1.1\r\n${HOST}A : b\r\n\r\n`],
    ["a negative length", `POST /echo HTTP/1.1\r\n${HOST}Content-Length: -1\r\n\r\n`],
    ["a bad chunk", `POST /echo HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\nzz\r\n`],
    ["a NUL", `GET / HTTP/1.1\r\n${HOST}A: b\0c\r\n\r\n`],
    ["no HTTP at all", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"],
    ["an unknown method", `FOO / HTTP/1.1\r\n${HOST}\r\n`],
  ])("%s: 400 in our envelope, then the end (H23, H32)", async (_, bytes) => {
    const { port } = await serve([echo]);
    const text = await (await connectRaw(port, Buffer.from(bytes, "latin1"))).closed();
    expect(answerIn(text)).toEqual({ status: 400, code: "invalid_request", closes: true });
    expect(text).toMatch(/x-request-id: [\w-]{36}\r\n/);
  });

  test.each([
    ["one long line", `A: ${"x".repeat(20_000)}\r\n`],
    ["250 short lines", Array.from({ length: 250 }, (_, index) => `h${index}: x\r\n`).join("")],
  ])("headers of %s: 431 (H28)", async (_, headers) => {
    const { port } = await serve([echo]);
    const text = await (await connectRaw(port, `GET / HTTP/1.1\r\n${HOST}${headers}\r\n`)).closed();
    expect(answerIn(text)).toEqual({ status: 431, code: "headers_too_large", closes: true });
  });

  test.each([
    ["two hosts (H24)", "Host: localhost\r\nHost: localhost\r\n", 400, "invalid_host"],
    ["a host that is none", "Host: a b<c>\r\n", 400, "invalid_host"],
    ["a foreign host (S01)", "Host: evil.example\r\n", 403, "host_not_allowed"],
  ])("%s", async (_, host, status, code) => {
    const { port } = await serve([]);
    const client = await connectRaw(port, `GET /healthz HTTP/1.1\r\n${host}Connection: close\r\n\r\n`);
    expect(answerIn(await client.closed())).toMatchObject({ status, code });
  });

  test.each([
    ["http://evil.example/healthz", 403, "host_not_allowed"],
    ["/..\\..\\etc", 404, "not_found"],
    ["/%2e%2e/%2e%2e/etc", 404, "not_found"],
  ])("the target %s (H26, S06)", async (target, status, code) => {
    const { port } = await serve([]);
    const client = await connectRaw(port, `GET ${target} HTTP/1.1\r\n${HOST}Connection: close\r\n\r\n`);
    expect(answerIn(await client.closed())).toMatchObject({ status, code });
  });

  test("TRACE: 405 (H32)", async () => {
    const { port } = await serve([echo]);
    const client = await connectRaw(port, `TRACE /echo HTTP/1.1\r\n${HOST}Connection: close\r\n\r\n`);
    expect(answerIn(await client.closed())).toMatchObject({ status: 405, code: "method_not_allowed" });
  });

  test("an expectation: 100 where the body fits, 413 at once where it does not (H34)", async () => {
    const { port } = await serve([echo]);
    const expecting = (length: number): string =>
      `POST /echo HTTP/1.1\r\n${HOST}Expect: 100-continue\r\nContent-Length: ${length}\r\n\r\n`;
    const client = await connectRaw(port, expecting(5));
    await client.until(/100 Continue/);
    client.socket.write("hello");
    await client.until(/200 OK[\s\S]*hello$/);
    client.socket.destroy();
    const refused = await (await connectRaw(port, expecting(101))).closed();
    expect(answerIn(refused)).toMatchObject({ status: 413, code: "body_too_large" });
    expect(refused).not.toContain("100 Continue");
  });

  test("another expectation: 417 (H36)", async () => {
    const { port } = await serve([echo]);
    const text = await (await connectRaw(port, `GET / HTTP/1.1\r\n${HOST}Expect: magic\r\n\r\n`)).closed();
    expect(answerIn(text)).toEqual({ status: 417, code: "expectation_failed", closes: true });
  });

  test("connections over the maximum are closed at once (H39)", async () => {
    const { port } = await serve([], { connectionsMax: 1 });
    const first = await connectRaw(port);
    expect(await (await connectRaw(port)).closed()).toBe("");
    first.socket.destroy();
  });
});
