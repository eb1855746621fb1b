import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { FunctionsHome } from "../doubles/functions-homes.ts";
import { until } from "../doubles/wait.ts";
import { cases, embed, failure } from "./functions.cases.ts";

export interface Skip {
  readonly reason: string;
  /** By title. */
  readonly tests: readonly string[];
}

const JSON_HEADERS = { "content-type": "application/json" };

/** The functions of test/contract/project answer alike wherever they run. */
export function describeFunctions(
  name: string,
  start: () => Promise<FunctionsHome>,
  { skip = [] }: { readonly skip?: readonly Skip[] } = {},
): void {
  describe(`functions: ${name}`, () => {
    let home: FunctionsHome;
    beforeAll(async () => {
      home = await start();
    });
    afterAll(() => home[Symbol.asyncDispose]());

    const skipped = new Set(skip.flatMap(({ tests }) => tests));
    const check = (title: string, body: () => Promise<void>): void => {
      if (skipped.delete(title)) test.skip(title, body);
      else test(title, body);
    };

    for (const [title, path, init, { status, headers, text, json }] of cases) {
      check(title, async () => {
        const response = await home.fetch(path, init);
        const body = await response.text();
        expect.soft({ status: response.status, body: body.slice(0, 200) }).toMatchObject({ status });
        if (text !== undefined) expect(body).toBe(text);
        if (json !== undefined) expect(JSON.parse(body)).toEqual(json);
        const found = Object.keys(headers ?? {}).map((key) => [key, response.headers.get(key)]);
        expect(Object.fromEntries(found)).toEqual(headers ?? {});
        expect(response.headers.get("x-request-id")).toMatch(/^[\w-]{1,64}$/);
      });
    }

    check("two cookies stay two", async () => {
      const response = await home.fetch("/answers?cookies", {});
      expect(response.headers.getSetCookie()).toEqual(["a=1; Path=/", "b=2; Expires=Wed, 01 Jan 2031 00:00:00 GMT"]);
    });

    check("waitUntil goes on after the answer, and its failure stays its own (F08)", async () => {
      const doneNow = async (): Promise<number> =>
        ((await (await home.fetch("/later", {})).json()) as { done: number }).done;
      const before = await doneNow();
      const response = await home.fetch("/later", { method: "POST" });
      expect([response.status, await response.text()]).toEqual([202, "accepted"]);
      await until("the work is done", async () => (await doneNow()) === before + 1);
    });

    describe("bindings", () => {
      const read = async (key: string): Promise<unknown> =>
        (await home.fetch(`/bindings?key=${encodeURIComponent(key)}`, {})).json();
      const send = (key: string): Promise<Response> => home.fetch(`/bindings?key=${key}`, { method: "POST" });
      const untilWritten = (key: string): Promise<unknown> =>
        until(`${key} is written`, async () => (await read(key)) ?? undefined, 15_000);

      check("what is put into KV is there", async () => {
        const key = crypto.randomUUID();
        expect(await read(key)).toBe(null);
        await home.fetch(`/bindings?key=${key}`, { method: "PUT", body: "grüße" });
        expect(await read(key)).toBe("grüße");
      });

      check("a message reaches the handler of its queue, with a body of any type", async () => {
        const key = crypto.randomUUID();
        expect(await (await send(key)).text()).toBe("done");
        expect(await untilWritten(key)).toBe('["contract-jobs",1,true]');
      });

      check("a message that is sent back too often ends in the dead letter queue, its neighbour does not", async () => {
        const [key, dead] = [crypto.randomUUID(), `dead-${crypto.randomUUID()}`];
        await Promise.all([send(dead), send(key)]);
        expect(await untilWritten(key)).toBe('["contract-jobs",1,true]');
        expect(await untilWritten(dead)).toBe('["contract-dead",1,true]');
      });

      check("a cron is fired by hand, and the outcome is told", async () => {
        const fire = (query: string): Promise<Response> => home.fetch(`/cdn-cgi/local/scheduled?${query}`, {});
        const cron = crypto.randomUUID();
        const answer = await fire(`cron=${cron}&time=1000&format=json`);
        expect([answer.status, await answer.json()]).toEqual([200, { outcome: "ok", noRetry: false }]);
        expect(await read(`cron ${cron}`)).toBe("1000");
        const failed = await fire("cron=throws");
        expect([failed.status, await failed.text()]).toEqual([500, "exception"]);
      });

      check("cloudflare:workers gives env at the top of a module and in a request, and waitUntil", async () => {
        const key = crypto.randomUUID();
        expect(await (await home.fetch(`/ambient?key=${key}`, {})).json()).toEqual({
          atTheTop: { greeting: "hello", has: true, isRefused: true },
          shape: [1, expect.any(Number)],
          now: "now",
          greeting: "hello",
        });
        expect(await untilWritten(key)).toBe("later");
      });
    });

    describe("behind a queue", () => {
      const post = (init: RequestInit): Promise<Response> => home.fetch("/embed", { ...init, headers: JSON_HEADERS });
      let busy: Promise<Response> | undefined;
      beforeEach(async () => {
        busy = post(embed({ text: "fault:stall" }));
        await until("the permit is taken", () => home.pool.running.length === 1);
      });
      afterEach(async () => {
        home.finishAll();
        expect((await busy)?.status).toBe(200);
      });

      check("a client that goes away leaves the queue (M06)", async () => {
        const client = new AbortController();
        const gone = post({ ...embed({ text: "waits" }), signal: client.signal });
        await until("it waits", async () => (await home.queueDepth()) === 1);
        client.abort();
        await expect(gone).rejects.toThrow("aborted");
        await until("it is gone", async () => (await home.queueDepth()) === 0, 1_000);
      });

      check("a call that the full queue refuses is 429 and says when to come again (F02, M04)", async () => {
        const waiting = post(embed({ text: Array(100).fill("a") }));
        await until("the queue is full", async () => (await home.queueDepth()) === 100);
        const response = await post(embed({ text: "one more" }));
        expect(response.status).toBe(429);
        expect(Number(response.headers.get("retry-after-ms"))).toBeGreaterThan(0);
        expect(await response.json()).toEqual(failure("queue_full", { message: expect.any(String) }));
        home.finishAll();
        expect((await waiting).status).toBe(200);
      });
    });

    test("every test that is skipped here exists", () => {
      expect([...skipped]).toEqual([]);
    });
  });
}
