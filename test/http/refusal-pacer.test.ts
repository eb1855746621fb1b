import { expect, test } from "vitest";
import { createRefusalPacer } from "../../runtime/http/refusal-pacer.ts";
import { createMemoryApp, routeTo } from "../doubles/memory-app.ts";
import { AppError } from "../../runtime/errors.ts";
import { createVirtualClock } from "../doubles/virtual-clock.ts";

test("the first 200 refusals of a second go out at once, the next wait their turn, for a second at most (Q27)", () => {
  const clock = createVirtualClock();
  const pacer = createRefusalPacer(clock);
  const startMs = clock.nowMs();
  const sentAtMs: number[] = [];
  for (let refusal = 0; refusal < 1_000; refusal++) {
    const held = pacer.hold();
    if (held === undefined) sentAtMs.push(clock.nowMs() - startMs);
  }
  expect(sentAtMs).toHaveLength(200);
  expect(clock.timers).toBe(800);
  clock.advance(500);
  expect(clock.timers).toBe(700);
  clock.advance(500);
  expect(clock.timers).toBe(0);
  clock.advance(1_000);
  expect(pacer.hold()).toBeUndefined();
});

test("a client that repeats a 503 at once and without end gets one each 5 ms, and others get their answers meanwhile (Q27)", async () => {
  const clock = createVirtualClock();
  const full = routeTo("/full", () => Promise.reject(new AppError("draining", { retryAfterMs: 1_000 })));
  const app = createMemoryApp({ routes: [full, routeTo("/x", () => new Response("x"))], app: { clock } });
  for (let refusal = 0; refusal < 200; refusal++) expect((await app.request("/full")).status).toBe(503);
  let isAnswered = false;
  const held = Promise.resolve(app.request("/full")).then((response) => {
    isAnswered = true;
    return response.status;
  });
  expect((await app.request("/x")).status).toBe(200);
  expect(isAnswered).toBe(false);
  clock.advance(5);
  expect(await held).toBe(503);
});
