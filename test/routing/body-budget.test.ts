import { describe, expect, test } from "vitest";
import { AppError } from "../../runtime/errors.ts";
import { createBodyBudget } from "../../runtime/routing/body-budget.ts";
import { createMemoryApp, errorOf, routeTo } from "../doubles/memory-app.ts";
import { createVirtualClock } from "../doubles/virtual-clock.ts";

const clock = createVirtualClock();
const budgetOf = (bytesMax: number): ReturnType<typeof createBodyBudget> =>
  createBodyBudget({ bytesMax: () => bytesMax, clock, random: () => 0.5 });

describe("room for bodies", () => {
  test("is what all of them have together, and comes back once", () => {
    const budget = budgetOf(10);
    const [first, second] = [budget.open(), budget.open()];
    first.grow(6);
    expect(budget.fits(4)).toBe(true);
    expect(() => second.grow(5)).toThrow(AppError);
    second.grow(4);
    first.release();
    first.release();
    expect(budget.usedBytes).toBe(4);
  });

  test("is refused with a wait of 1 to 60 s, before anything was given back and after (Q25)", () => {
    const budget = budgetOf(1_000);
    const waitMs = (bytes: number): number | undefined => {
      const lease = budget.open();
      try {
        lease.grow(bytes);
        lease.release();
        return undefined;
      } catch (error) {
        return error instanceof AppError ? error.retryAfterMs : undefined;
      }
    };
    const held = budget.open();
    held.grow(1_000);
    expect(waitMs(1)).toBe(2_000);
    held.release();
    const again = budget.open();
    again.grow(1_000);
    // 1,000 bytes came back in the last 5 s.
    expect(waitMs(1_000)).toBe(5_000);
    expect(waitMs(1)).toBe(1_250);
    clock.advance(60_000);
    expect(waitMs(1_000)).toBe(50_000);
  });
});

describe("the room of a request", () => {
  const holds = Promise.withResolvers<Response>();
  const routes = [
    routeTo("/ok", async (request) => new Response(String((await request.text()).length))),
    routeTo("/throws", () => {
      throw new Error("no");
    }),
    routeTo("/holds", () => holds.promise),
    routeTo("/never", () => new Promise(() => {})),
  ];
  const budget = createBodyBudget({ bytesMax: () => 100, clock, random: () => 0.5 });
  const app = createMemoryApp({ routes, bodies: budget, app: { bodyBytesMax: 100 } });
  const post = (path: string, body: string, more: RequestInit = {}): Promise<Response> =>
    Promise.resolve(
      app.request(path, { method: "POST", body, headers: { "content-length": String(body.length) }, ...more }),
    );
  const chunked = (...chunks: string[]): RequestInit => ({
    headers: {},
    // oxlint-disable-next-line unicorn/no-invalid-fetch-options -- it is POST
    body: new ReadableStream({
      start(controller) {
        for (const chunk of chunks) controller.enqueue(new TextEncoder().encode(chunk));
        controller.close();
      },
    }),
    duplex: "half",
  });

  test.each([
    ["answered", "/ok", {}, 200],
    ["in chunks", "/ok", chunked("x".repeat(50), "y".repeat(10)), 200],
    ["too long in chunks", "/ok", chunked("x".repeat(90), "y".repeat(90)), 413],
    ["for a function that throws", "/throws", {}, 500],
    ["past its deadline", "/never", { headers: { "content-length": "60", "x-request-timeout-ms": "1" } }, 504],
    ["without a function", "/nowhere", {}, 404],
    ["with a deadline that is none", "/ok", { headers: { "content-length": "60", "x-request-timeout-ms": "x" } }, 400],
    ["whose client is gone", "/never", { signal: AbortSignal.abort() }, 499],
  ])("%s comes back (Q23)", async (_, path, more, status) => {
    const response = await post(path, "x".repeat(60), more);
    expect([response.status, budget.usedBytes]).toEqual([status, 0]);
  });

  test("is held while its function runs, and others are told to come back, read or unread (Q23)", async () => {
    const first = post("/holds", "x".repeat(60));
    await expect.poll(() => budget.usedBytes).toBe(60);
    const [second, third] = [await post("/ok", "x".repeat(41)), await post("/ok", "", chunked("x".repeat(41)))];
    for (const response of [second, third]) {
      expect(response.headers.get("retry-after")).toMatch(/^\d+$/);
      expect(response.headers.get("retry-after-ms")).toMatch(/^\d+$/);
      expect(await errorOf(response)).toMatchObject({ status: 429, code: "queue_full" });
    }
    expect((await post("/ok", "x".repeat(40))).status).toBe(200);
    holds.resolve(new Response("held"));
    await first;
    expect(budget.usedBytes).toBe(0);
  });
});
