import express from "express";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createFakeHost, type FakeHost } from "../doubles/fake-host.ts";
import { errorOf } from "../doubles/memory-app.ts";
import { openExpress } from "./outer-servers.ts";

let fake: FakeHost;
beforeAll(async () => {
  fake = await createFakeHost();
});
afterAll(() => fake[Symbol.asyncDispose]());

const text = '{"texts":["grüße"]}';
const post = (url: string, type: string): Promise<Response> =>
  fetch(`${url}/embed/api/v1/embed`, { method: "POST", headers: { "content-type": type }, body: text });

describe("a body that the server has read before us (H44)", () => {
  const parsers = {
    "express.json()": express.json(),
    "express.text()": express.text({ type: "*/*" }),
    "express.raw()": express.raw({ type: "*/*" }),
    "express.json() that keeps the bytes": express.json({
      verify: (request, _, bytes) => void Object.assign(request, { rawBody: bytes }),
    }),
  };
  test.each(Object.entries(parsers))("is taken from %s", async (_name, parser) => {
    await using outer = await openExpress((app) => app.use(parser).use("/embed", fake.host.nodeListener));
    const response = await post(outer.url, "application/json");
    expect([response.status, outer.failures]).toEqual([200, []]);
  });

  test("but not from one that leaves something else than what was sent: 500 that says what to do", async () => {
    await using outer = await openExpress((app) =>
      app.use(express.urlencoded({ extended: true })).use("/embed", fake.host.nodeListener),
    );
    const response = await post(outer.url, "application/x-www-form-urlencoded");
    const { message } = ((await response.clone().json()) as { error: { message: string } }).error;
    expect(message).toContain("mount embedge before that parser");
    expect(await errorOf(response)).toMatchObject({ status: 500, code: "body_already_read" });
    expect(outer.failures).toEqual([]);
  });

  test("nor from one that leaves nothing", async () => {
    await using outer = await openExpress((app) =>
      app
        .use((request, _, next) => {
          request.resume().once("end", next);
        })
        .use("/embed", fake.host.nodeListener),
    );
    expect(await errorOf(await post(outer.url, "application/json"))).toMatchObject({ code: "body_already_read" });
  });
});

test("a request that the server has answered already is left alone", async () => {
  await using outer = await openExpress((app) =>
    app
      .use((_, response, next) => {
        response.send("answered");
        next();
      })
      .use(fake.host.nodeListener),
  );
  expect(await (await fetch(`${outer.url}/healthz`)).text()).toBe("answered");
});
