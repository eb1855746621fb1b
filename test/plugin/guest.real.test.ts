import { execFile } from "node:child_process";
import path from "node:path";
import { promisify } from "node:util";
import { Hono } from "hono";
import { expect, test } from "vitest";
import { ConfigError, createHost } from "../../runtime/embedge.ts";
import { createFakeHost } from "../doubles/fake-host.ts";
import type { GuestReport } from "../doubles/guest.ts";
import { errorOf, postJson } from "../doubles/memory-app.ts";
import { isRunning } from "../doubles/pool-recorder.ts";
import { openExpress } from "./outer-servers.ts";

test("a host leaves nothing behind: no listener, global, handle or worker, and the process ends by itself", async () => {
  const guest = path.join(import.meta.dirname, "../doubles/guest.ts");
  // A handle that is left would keep it alive past the limit.
  const { stdout } = await promisify(execFile)(process.execPath, [guest], { timeout: 30_000 });
  const report = JSON.parse(stdout) as GuestReport;
  expect(report).toEqual({
    // To write out what the log still holds; no signal handler is among them.
    listenersWhileOpen: ["exit"],
    globalsWhileOpen: [],
    listeners: [],
    globals: [],
    resources: [],
    workersRunning: [],
  });
});

test("two mounts of one host share its pool", async () => {
  await using fake = await createFakeHost();
  await using outer = await openExpress((app) => app.use("/embed", fake.host.nodeListener));
  const hono = new Hono().route("/vectors", fake.host.routes);
  const body = postJson({ texts: ["the same"] });
  const answers = await Promise.all([
    fetch(`${outer.url}/embed/api/v1/embed`, body),
    hono.request("/vectors/api/v1/embed", body),
    fake.host.embed(["the same"]),
  ]);
  const [first, second] = (await Promise.all([answers[0].json(), answers[1].json()])) as { embeddings: number[][] }[];
  expect(second?.embeddings).toEqual(first?.embeddings);
  expect(Float32Array.from(first?.embeddings[0] ?? [])).toEqual(answers[2].vectors.data);
  expect(fake.workerPids()).toHaveLength(1);
});

test("two hosts in one process have a pool each, and closing one leaves the other alone", async () => {
  await using first = await createFakeHost();
  await using second = await createFakeHost();
  await Promise.all([first.host.ready(), second.host.ready()]);
  await first.host.close();
  expect(first.workerPids().some(isRunning)).toBe(false);
  expect((await second.host.embed(["still here"])).vectors.rows).toBe(1);
});

test("a host that cannot be made says why and leaves nothing either", async () => {
  const before = process.listenerCount("exit");
  const made = createHost({ models: { default: "/nowhere/model" }, pool: { python: "python3" } });
  await expect(made).rejects.toThrow(ConfigError);
  expect(process.listenerCount("exit")).toBe(before);
});

test("nothing runs before the host is used", async () => {
  await using fake = await createFakeHost();
  expect(fake.workerPids()).toEqual([]);
});

test("close ends what runs and what waits with 503, and so is every later request answered", async () => {
  await using fake = await createFakeHost();
  const embed = (text: string): Promise<Response> =>
    fake.host.fetch(new Request("http://app.example/api/v1/embed", postJson({ texts: [text] })));
  await fake.host.ready();
  const running = embed("fault:stall");
  const direct = fake.host.embed(["waits behind it"]);
  direct.catch(() => {});
  const closed = fake.host.close();
  expect(fake.host.close()).toBe(closed);
  await closed;
  await expect(direct).rejects.toMatchObject({ code: "draining" });
  for (const answer of [await running, await embed("later")]) {
    expect(await errorOf(answer)).toMatchObject({ status: 503, code: "draining" });
  }
  await expect(fake.host.embed(["later"])).rejects.toMatchObject({ code: "draining" });
});

test("which names lead to the outer server is its own business, unless server.allowedHosts says so", async () => {
  await using open = await createFakeHost();
  await using strict = await createFakeHost({ server: { allowedHosts: ["app.example"] } });
  const ask = async ({ host }: typeof open, name: string): Promise<number> =>
    (await host.fetch(new Request(`http://${name}/healthz`))).status;
  expect(await ask(open, "anything.example")).toBe(200);
  expect(await ask(strict, "app.example")).toBe(200);
  expect(await ask(strict, "other.example")).toBe(403);
});

test("a function sees its path without the prefix, however the host is mounted", async () => {
  await using fake = await createFakeHost({ functions: { dir: path.join(import.meta.dirname, "functions") } });
  const hono = new Hono().route("/a/:tenant/embed", fake.host.routes);
  await using outer = await openExpress((app) => app.use("/a/b/embed", fake.host.nodeListener));
  const request = new Request("http://app.example/a/b/embed/seen/x%20y?q=1");
  const answers = [
    await fake.host.at("/a/b/embed/").fetch(request),
    await hono.request(request),
    await fetch(`${outer.url}/a/b/embed/seen/x%20y?q=1`),
  ];
  for (const answer of answers) {
    expect(await answer.json()).toEqual({ path: "/seen/x%20y", query: "?q=1", params: { id: "x y" } });
  }
});
