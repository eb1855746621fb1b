import { describe, expect, test } from "vitest";
import type { AppError } from "../../runtime/errors.ts";
import { routeTo } from "../doubles/memory-app.ts";
import { memoryServers } from "../doubles/memory-server.ts";
import { connectRaw } from "../doubles/raw-client.ts";

const HOST = "Host: localhost\r\n";
const serve = memoryServers();

describe("streams", () => {
  test("are sent as they come, and cancelled once when the client goes (F10)", async () => {
    let cancels = 0;
    const cancelled = Promise.withResolvers<void>();
    const body = (): ReadableStream =>
      new ReadableStream({
        start: (controller) => controller.enqueue(new TextEncoder().encode("first")),
        cancel() {
          cancels++;
          cancelled.resolve();
        },
      });
    const { port } = await serve([routeTo("/s", () => new Response(body()))]);
    const client = await connectRaw(port, `GET /s HTTP/1.1\r\n${HOST}\r\n`);
    await client.until(/first/);
    client.socket.destroy();
    await cancelled.promise;
    expect(cancels).toBe(1);
  });

  test("that fail midway cut the answer: the last chunk never comes (F11)", async () => {
    const errors: AppError[] = [];
    const source = new TransformStream<Uint8Array, Uint8Array>();
    const { port } = await serve([routeTo("/s", () => new Response(source.readable))], {
      onConnectionError: (error) => void errors.push(error),
    });
    const client = await connectRaw(port, `GET /s HTTP/1.1\r\n${HOST}\r\n`);
    const writer = source.writable.getWriter();
    await writer.write(new TextEncoder().encode("half"));
    await client.until(/half/);
    await writer.abort(new Error("secret")).catch(() => {});
    const text = await client.closed();
    expect(text).not.toMatch(/0\r\n\r\n$/);
    expect(text).not.toContain("secret");
    expect(errors.map(({ code }) => code)).toEqual(["function_error"]);
  });

  test("that fail before the first byte are a 500 (F11)", async () => {
    const failing = (): ReadableStream =>
      new ReadableStream({
        pull: () => {
          throw new Error("secret");
        },
      });
    const { port } = await serve([routeTo("/s", () => new Response(failing()))]);
    const response = await fetch(`http://127.0.0.1:${port}/s`);
    const text = await response.text();
    expect([response.status, text.includes("function_error"), text.includes("secret")]).toEqual([500, true, false]);
  });

  test("are not pulled ahead of a client that does not read, who is cut off in the end (F12, H11)", async () => {
    let pulls = 0;
    const cancelled = Promise.withResolvers<void>();
    const endless = (): ReadableStream =>
      new ReadableStream({
        pull(controller) {
          pulls++;
          controller.enqueue(new Uint8Array(65_536));
        },
        cancel: () => cancelled.resolve(),
      });
    const { port } = await serve([routeTo("/s", () => new Response(endless()))], { writeTimeoutMs: 200 });
    const client = await connectRaw(port, `GET /s HTTP/1.1\r\n${HOST}\r\n`);
    client.socket.pause();
    await cancelled.promise;
    // The kernel's buffers hold some megabytes on their own.
    expect(pulls).toBeLessThan(1_000);
    client.socket.destroy();
  });
});

describe("a client that goes away", () => {
  async function signalOf(leave: (client: { destroy(): void; resetAndDestroy(): void }) => void): Promise<string> {
    const started = Promise.withResolvers<void>();
    const aborted = Promise.withResolvers<string>();
    const waiting = routeTo("/wait", (request) => {
      request.signal.addEventListener("abort", () => aborted.resolve(String(request.signal.reason)));
      started.resolve();
      return new Promise(() => {});
    });
    const { port } = await serve([waiting]);
    const client = await connectRaw(port, `GET /wait HTTP/1.1\r\n${HOST}\r\n`);
    await started.promise;
    leave(client.socket);
    return aborted.promise;
  }

  test("by a plain close aborts the handler's signal", async () => {
    expect(await signalOf((socket) => socket.destroy())).toContain("client went away");
  });

  test("by a reset aborts the handler's signal (H14)", async () => {
    expect(await signalOf((socket) => socket.resetAndDestroy())).toContain("client went away");
  });
});
