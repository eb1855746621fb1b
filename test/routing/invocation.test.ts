import { Hono } from "hono";
import { describe, expect, test } from "vitest";
import type { Handler } from "../../functions/_types.ts";
import { AppError } from "../../runtime/errors.ts";
import { errorOf } from "../doubles/memory-app.ts";
import { MODEL, REVISION } from "../doubles/memory-embedder.ts";
import { createMemoryInvoker } from "../doubles/memory-invoker.ts";

const never = (): Promise<Response> => new Promise(() => {});

describe("a handler", () => {
  test("sees the whole URL, the body, its parameters and its variables", async () => {
    const { run } = createMemoryInvoker({ vars: { GREETING: "hi" } });
    const { response } = await run(async (request, env, context) =>
      Response.json([request.url, await request.text(), context.params, env["GREETING"], Object.isFrozen(env)]),
    );
    expect(await response.json()).toEqual(["http://localhost/x?q=1", "body", { id: "7" }, "hi", true]);
  });

  test("gets a Request that can be cloned and copied", async () => {
    const { run } = createMemoryInvoker();
    const { response } = await run(async (request) => {
      const copy = new Request(request.clone(), { headers: { a: "b" } });
      return new Response((await copy.text()) + (await request.text()));
    });
    expect(await response.text()).toBe("bodybody");
  });

  test("may be a Hono app", async () => {
    const app = new Hono().post("/x", (c) => c.text(`hono ${c.req.query("q") ?? ""}`));
    const { response } = await createMemoryInvoker().run((request) => app.fetch(request));
    expect(await response.text()).toBe("hono 1");
  });

  test("that embedded has its work summed up", async () => {
    const { embedded } = await createMemoryInvoker().run(async (_, env) => {
      await Promise.all([env.AI.run("m", { text: ["a", "b"] }), env.AI.run("m", { text: "c" })]);
      return new Response();
    });
    expect(embedded).toEqual({
      texts: 3,
      tokens: 9,
      queueMs: 3,
      batchMs: 7,
      models: [{ name: MODEL, revision: REVISION }],
    });
  });

  test("that has returned leaves no timer behind", async () => {
    const { run, clock } = createMemoryInvoker();
    await run(() => new Response());
    expect(clock.timers).toBe(0);
  });
});

describe("what a handler throws (F01)", () => {
  const trap = Object.defineProperty(new Error("x"), "message", {
    get: () => {
      throw new Error("trap");
    },
  });
  test.each([
    ["an Error at once", new Error("secret")],
    ["null", null],
    ["a string", "secret"],
    ["a Response", new Response("secret")],
    ["a frozen Error", Object.freeze(new Error("secret"))],
    ["an error whose getters throw", trap],
  ])("%s becomes a 500 that tells nothing", async (_, thrown) => {
    const { response, error } = await createMemoryInvoker().run(() => {
      throw thrown;
    });
    expect(error?.cause).toBe(thrown);
    const text = await response.text();
    expect(response.status).toBe(500);
    expect(text).toContain("function_error");
    expect(text).not.toContain("secret");
  });

  test("after an await is no different", async () => {
    const { response } = await createMemoryInvoker().run(async () => {
      await Promise.resolve();
      throw new Error("late");
    });
    expect(await errorOf(response)).toMatchObject({ status: 500, code: "function_error" });
  });

  test("an AppError keeps its own status and advice (F02)", async () => {
    const { response } = await createMemoryInvoker().run(() =>
      Promise.reject(new AppError("queue_full", { retryAfterMs: 2_500 })),
    );
    expect(response.headers.get("retry-after")).toBe("3");
    expect(await errorOf(response)).toMatchObject({ status: 429, code: "queue_full" });
  });
});

describe("what a handler returns (F09)", () => {
  const used = new Response("once");
  test.each<[string, () => unknown]>([
    ["undefined", () => undefined],
    ["a string", () => "hello"],
    ["an object that looks like a Response", () => ({ status: 200, body: null })],
    ["status 99", () => new Response(null, { status: 99 })],
    ["status 1000", () => new Response(null, { status: 1_000 })],
    ["a network error", () => Response.error()],
    ["a header with a line break", () => new Response(null, { headers: { a: "b\r\nc: d" } })],
    [
      "a Response that is read already",
      async () => {
        await used.text();
        return used;
      },
    ],
    [
      "a Response whose stream is taken",
      () => {
        const response = new Response("x");
        response.body?.getReader();
        return response;
      },
    ],
  ])("%s is a 500", async (_, fetch) => {
    const { response } = await createMemoryInvoker().run(fetch as Handler["fetch"]);
    expect(await errorOf(response)).toMatchObject({ status: 500, code: "function_error" });
  });
});

describe("the deadline", () => {
  test("answers 504 in_flight for a handler that never resolves, and aborts its signal (F03)", async () => {
    const { run, clock } = createMemoryInvoker();
    let signal: AbortSignal | undefined;
    const result = run((request) => {
      signal = request.signal;
      return never();
    });
    clock.advance(1_000);
    expect(signal?.aborted).toBe(false);
    clock.advance(10);
    expect(await errorOf((await result).response)).toEqual({
      status: 504,
      code: "deadline_exceeded",
      param: "in_flight",
    });
    expect(signal?.aborted).toBe(true);
  });

  test("reaches the calls of the handler", async () => {
    const { run, clock } = createMemoryInvoker({ waitForAbort: true });
    let ended = "";
    const result = run(async (_, env) => {
      await env.AI.run("m", { text: "a" }).catch((error: unknown) => void (ended = String(error)));
      return new Response();
    });
    clock.advance(1_010);
    expect((await result).error?.code).toBe("deadline_exceeded");
    await expect.poll(() => ended).toContain("3008");
  });

  test("leaves the queue's own answer the last word when it knows more", async () => {
    const { run, clock } = createMemoryInvoker();
    const result = run(
      () =>
        new Promise((_, reject) => {
          clock.setTimer(clock.nowMs() + 1_000, () => reject(new AppError("deadline_exceeded", { param: "queued" })));
        }),
    );
    clock.advance(1_000);
    expect((await result).error?.param).toBe("queued");
  });

  test("cancels a Response that comes too late", async () => {
    const { run, clock } = createMemoryInvoker();
    const late = Promise.withResolvers<Response>();
    const cancelled = Promise.withResolvers<boolean>();
    const result = run(() => late.promise);
    clock.advance(1_010);
    await result;
    late.resolve(new Response(new ReadableStream({ cancel: () => cancelled.resolve(true) })));
    expect(await cancelled.promise).toBe(true);
  });

  test.each(["0", "-1", "NaN", "1e308", "abc", "1.5", ""])("of %j in the header is a 400 (Q13)", async (value) => {
    const { response } = await createMemoryInvoker().run(never, { "x-request-timeout-ms": value });
    expect(await errorOf(response)).toEqual({
      status: 400,
      code: "invalid_request",
      param: "x-request-timeout-ms",
    });
  });

  test.each([
    ["200", 200],
    ["5001", 5_000],
    ["2147483648", 5_000],
    ["9".repeat(400), 5_000],
  ])("of %s in the header ends after %i ms (Q13, Q14)", async (value, ms) => {
    const { run, clock } = createMemoryInvoker();
    let isDone = false;
    const result = run(never, { "x-request-timeout-ms": value }).then(() => (isDone = true));
    clock.advance(ms + 9);
    await Promise.resolve();
    expect(isDone).toBe(false);
    clock.advance(1);
    expect(await result).toBe(true);
  });
});

describe("a client that goes away", () => {
  test("ends the invocation as client_gone", async () => {
    const { run, client } = createMemoryInvoker({ waitForAbort: true });
    const result = run(async (_, env) => Response.json(await env.AI.run("m", { text: "a" })));
    client.abort();
    expect((await result).error?.code).toBe("client_gone");
  });

  test("before the start runs nothing", async () => {
    const { run, client } = createMemoryInvoker();
    client.abort();
    let runs = 0;
    const { error } = await run(() => {
      runs++;
      return new Response();
    });
    expect([error?.code, runs]).toEqual(["client_gone", 0]);
  });

  test("while the answer streams still aborts the handler's signal (F10)", async () => {
    const { run, client } = createMemoryInvoker();
    let signal: AbortSignal | undefined;
    await run((request) => {
      signal = request.signal;
      return new Response(new ReadableStream());
    });
    client.abort();
    expect(signal?.aborted).toBe(true);
  });
});

test("a host that closes ends what still runs as draining", async () => {
  const { run, invoker } = createMemoryInvoker();
  const result = run(never);
  invoker.abortAll();
  expect(await errorOf((await result).response)).toMatchObject({ status: 503, code: "draining" });
});
