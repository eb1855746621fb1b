import { once } from "node:events";
import { createServer } from "node:net";
import { describe, expect, test } from "vitest";
import { ListenError } from "../../runtime/http/listen.ts";
import { routeTo } from "../doubles/memory-app.ts";
import { answerIn, memoryServers } from "../doubles/memory-server.ts";
import { connectRaw } from "../doubles/raw-client.ts";

const HOST = "Host: localhost\r\n";
const serve = memoryServers();
const echo = routeTo("/echo", async (request) => new Response(await request.text()));
const post = (length: number, body: string): string =>
  `POST /echo HTTP/1.1\r\n${HOST}Content-Length: ${length}\r\n\r\n${body}`;

describe("a request on a socket", () => {
  test("is answered with its length, and the connection stays open", async () => {
    const { port } = await serve([echo]);
    const client = await connectRaw(port, post(5, "hello"));
    const text = await client.until(/hello$/);
    expect(text).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    expect(text).toMatch(/content-length: 5\r\n/i);
    expect(text).toMatch(/Keep-Alive: timeout=65\r\n/);
    client.socket.destroy();
  });

  test("has the platform's own Request, and the globals are left alone", async () => {
    const before = [globalThis.Request, globalThis.Response];
    const copying = routeTo("/copy", async (request) => new Response(await new Request(request).text()));
    const { port } = await serve([copying]);
    const response = await fetch(`http://127.0.0.1:${port}/copy`, { method: "POST", body: "copied" });
    expect(await response.text()).toBe("copied");
    expect([globalThis.Request, globalThis.Response]).toEqual(before);
  });

  test("whose client closes its sending half is answered (H12)", async () => {
    const late = Promise.withResolvers<Response>();
    const { port } = await serve([routeTo("/late", () => late.promise)]);
    const client = await connectRaw(port);
    client.socket.end(`GET /late HTTP/1.1\r\n${HOST}\r\n`);
    await client.until(/102 Processing[\s\S]*102 Processing/);
    late.resolve(new Response("late"));
    expect(await client.closed()).toMatch(/HTTP\/1\.1 200 OK[\s\S]*late$/);
  });
});

describe("opening and closing", () => {
  test("connections over the maximum are closed at once, and counted (H39)", async () => {
    let dropped = 0;
    const { port } = await serve([], { connectionsMax: 1, onConnectionDropped: () => (dropped += 1) });
    const first = await connectRaw(port);
    expect(await (await connectRaw(port)).closed()).toBe("");
    expect(dropped).toBe(1);
    first.socket.destroy();
  });

  test("a port in use is an error that says so (C09)", async () => {
    const taken = createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    const { port } = taken.address() as { port: number };
    const failure: unknown = await serve([], { port }).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(ListenError);
    expect(failure).toMatchObject({ reason: "port_in_use", port, message: expect.stringContaining(String(port)) });
    taken.close();
  });

  test("an address of another machine is an error that says so", async () => {
    await expect(serve([], { host: "192.0.2.1" })).rejects.toMatchObject({ reason: "no_such_address" });
  });

  test("close ends idle connections at once, used or not (Q29)", async () => {
    const listener = await serve([echo]);
    const fresh = await connectRaw(listener.port);
    const used = await connectRaw(listener.port, post(5, "hello"));
    await used.until(/hello$/);
    await listener.close(60_000);
    await Promise.all([fresh.closed(), used.closed()]);
    expect(fresh.text()).toBe("");
  });

  test("close lets a running request finish, and says that it was the last", async () => {
    const started = Promise.withResolvers<void>();
    const late = Promise.withResolvers<Response>();
    const slow = routeTo("/slow", () => {
      started.resolve();
      return late.promise;
    });
    const listener = await serve([slow]);
    const client = await connectRaw(listener.port, `GET /slow HTTP/1.1\r\n${HOST}\r\n`);
    await started.promise;
    const closed = listener.close(60_000);
    late.resolve(new Response("done"));
    const text = await client.closed();
    await closed;
    expect(text).toMatch(/done$/);
    expect(answerIn(text).closes).toBe(true);
  });

  test("close cuts what runs past the grace", async () => {
    const started = Promise.withResolvers<void>();
    const stuck = routeTo("/stuck", () => {
      started.resolve();
      return new Promise(() => {});
    });
    const listener = await serve([stuck]);
    const client = await connectRaw(listener.port, `GET /stuck HTTP/1.1\r\n${HOST}\r\n`);
    await started.promise;
    await listener.close(50);
    expect(await client.closed()).toBe("");
  });

  test("while draining each answer ends its connection", async () => {
    const { port } = await serve([], { isDraining: () => true });
    const text = await (await connectRaw(port, `GET /healthz HTTP/1.1\r\n${HOST}\r\n`)).closed();
    expect(answerIn(text)).toMatchObject({ status: 200, closes: true });
  });

  test("ends a connection whose answer was on its way when it closed, as soon as that is done", async () => {
    const more = Promise.withResolvers<void>();
    const body = new ReadableStream<Uint8Array>({
      async pull(controller) {
        controller.enqueue(new TextEncoder().encode("first"));
        await more.promise;
        controller.close();
      },
    });
    const listener = await serve([routeTo("/x", () => new Response(body))]);
    const client = await connectRaw(listener.port, `GET /x HTTP/1.1\r\n${HOST}\r\n`);
    await client.until(/first/);
    const closed = listener.close(60_000);
    more.resolve();
    expect(await client.closed()).toMatch(/0\r\n\r\n$/);
    await closed;
  });
});
