import { describe, expect, test } from "vitest";
import type { ExecutionContext } from "../../functions/_types.ts";
import { createMemoryInvoker } from "../doubles/memory-invoker.ts";

const never = (): Promise<Response> => new Promise(() => {});

describe("waitUntil (F08)", () => {
  test("keeps the invoker busy until the work is done, and not the answer", async () => {
    const { run, invoker, clock } = createMemoryInvoker();
    const work = Promise.withResolvers<void>();
    const { response } = await run((_, __, context) => {
      context.waitUntil(work.promise);
      return new Response("done");
    });
    expect(await response.text()).toBe("done");
    let isIdle = false;
    const idle = invoker.idle().then(() => (isIdle = true));
    await Promise.resolve();
    expect(isIdle).toBe(false);
    work.resolve();
    await idle;
    expect(clock.timers).toBe(0);
  });

  test("reports work that fails, under the invocation's id", async () => {
    const { run, invoker, failures } = createMemoryInvoker();
    const cause = new Error("background");
    const { response } = await run((_, __, context) => {
      context.waitUntil(Promise.reject(cause));
      return new Response();
    });
    await invoker.idle();
    expect(response.status).toBe(200);
    expect(failures).toEqual([["id-1", cause]]);
  });

  test("gives up work that does not end", async () => {
    const { run, invoker, clock, failures } = createMemoryInvoker();
    await run((_, __, context) => {
      for (let count = 0; count < 10_000; count++) context.waitUntil(never());
      return new Response();
    });
    clock.advance(30_000);
    await invoker.idle();
    expect(failures).toHaveLength(10_000);
  });

  test("throws once its invocation has ended, while env still works (F20)", async () => {
    const kept: { context?: ExecutionContext; again?: () => Promise<unknown> } = {};
    await createMemoryInvoker().run((_, env, context) => {
      Object.assign(kept, { context, again: () => env.AI.run("m", { text: "later" }) });
      return new Response();
    });
    expect(() => kept.context?.waitUntil(Promise.resolve())).toThrow(/after its invocation had ended/);
    expect(await kept.again?.()).toMatchObject({ shape: [1, 4] });
  });
});
