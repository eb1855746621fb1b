import path from "node:path";
import { expect, test } from "vitest";
import { makeKey, writeKeys } from "../../runtime/config/keys-file.ts";
import { postJson } from "../doubles/memory-app.ts";
import { type ScriptedHost, startScriptedHost } from "../doubles/scripted-host.ts";
import { until } from "../doubles/wait.ts";

const PERMITS = 2;
const byHand = { workerPermits: [1, 1], answers: "by_hand" } as const;
/** Longer than a batch. */
const flood = Array.from({ length: 100 }, (_, index) => `flood ${index}`);

test("a flood of one tenant delays another's text by at most one batch for each permit (Q31, Q16)", async () => {
  await using served = await startScriptedHost({ server: { tenantHeader: "x-tenant" } }, byHand);
  const answers = Array.from({ length: 20 }, () => served.embed(flood, { "x-tenant": "flood" }));
  await queueHolds(served, 20 * flood.length - 64);
  const small = served.embed(["small"], { "x-tenant": "small" });
  await queueHolds(served, 20 * flood.length - 64 + 1);
  const before = served.pool.started.length;
  served.pool.running[0]?.finish();
  await until("a batch starts", () => served.pool.started.length > before);
  expect(before).toBe(PERMITS);
  expect(served.pool.started[before]?.request.texts).toContain("small");
  await finishAll(served, [small, ...answers]);
});

test("with one tenant texts start in the order in which they came, large calls or small (Q15, Q18)", async () => {
  await using served = await startScriptedHost({}, { workerPermits: [1], answers: "by_hand" });
  const calls = [["first"], flood, ["second"], flood, ["third"]];
  const answers: Promise<Response>[] = [];
  let waiting = -1;
  for (const texts of calls) {
    answers.push(served.embed(texts));
    waiting += texts.length;
    await queueHolds(served, waiting);
  }
  await finishAll(served, answers);
  expect(served.pool.started.flatMap(({ request }) => request.texts)).toEqual(calls.flat());
});

test.each([
  ["the header", { "x-embedge-priority": "bulk" }, {}],
  ["the route", {}, { functions: { bulk: ["/api/v1/embed"] } }],
])("what is bulk by %s goes behind what is interactive", async (_, headers, settings) => {
  await using served = await startScriptedHost(settings, { workerPermits: [1], answers: "by_hand" });
  const answers = [served.embed(["runs"], headers)];
  await until("it runs", () => served.pool.running.length === 1);
  answers.push(served.embed(flood, headers));
  await queueHolds(served, flood.length);
  answers.push(fetch(`${served.url}/v1/embeddings`, postJson({ input: "interactive", model: "fake-model" })));
  await queueHolds(served, flood.length + 1);
  await finishAll(served, answers);
  expect(served.pool.started[1]?.request.texts[0]).toBe("interactive");
});

test("a key is a tenant, and one that is bulk stays so whatever the request says", async () => {
  await using served = await startScriptedHost({}, { workerPermits: [1], answers: "by_hand" });
  const keysFile = path.join(served.folder, "keys.toml");
  const [fast, slow] = [makeKey("fast"), makeKey("slow")];
  writeKeys(keysFile, [fast.entry, { ...slow.entry, priority: "bulk" }]);
  served.host.changeSettings({ log: { level: "silent" }, server: { keysFile }, pool: { permits: 1 } });
  const bySlow = { authorization: `Bearer ${slow.key}`, "x-embedge-priority": "interactive" };
  const answers = [served.embed(["runs"], bySlow)];
  await until("it runs", () => served.pool.running.length === 1);
  answers.push(served.embed(flood, bySlow));
  await queueHolds(served, flood.length, bySlow);
  answers.push(served.embed(["fast"], { authorization: `Bearer ${fast.key}` }));
  await queueHolds(served, flood.length + 1, bySlow);
  await finishAll(served, answers);
  expect(served.pool.started[1]?.request.texts[0]).toBe("fast");
});

test("each function can be a tenant", async () => {
  await using served = await startScriptedHost({ queue: { tenants: "functions" } }, { ...byHand, workerPermits: [1] });
  const answers = [served.embed(["runs"])];
  await until("it runs", () => served.pool.running.length === 1);
  answers.push(served.embed(flood));
  await queueHolds(served, flood.length);
  answers.push(fetch(`${served.url}/v1/embeddings`, postJson({ input: "other", model: "fake-model" })));
  await queueHolds(served, flood.length + 1);
  await finishAll(served, answers);
  expect(served.pool.started[1]?.request.texts).toContain("other");
});

test("a function sees neither its tenant nor its priority, and calls env.AI as ever (S15)", async () => {
  await using served = await startScriptedHost({ server: { tenantHeader: "x-tenant" } });
  const module = `export default { fetch: (request, env) => Response.json(Object.keys(env)) };`;
  await served.host.replaceWorkers([{ name: "seen", script: module }]);
  const response = await fetch(`${served.url}/`, { headers: { "x-tenant": "a" } });
  expect(await response.json()).toEqual(["EMBEDDING_MODEL", "EMBEDDING_TEXTS_MAX", "AI"]);
});

test.each([
  ["x-tenant", "a b"],
  ["x-tenant", "a".repeat(65)],
  ["x-embedge-priority", "urgent"],
])("%s: %s is refused by name (S25, S27)", async (name, value) => {
  await using served = await startScriptedHost({ server: { tenantHeader: "x-tenant" } });
  const response = await served.embed(["text"], { [name]: value });
  expect(await response.json()).toMatchObject({ error: { code: "invalid_request", param: name } });
});

test("20,000 names of tenants leave nothing behind in the metrics (Q32, S27)", { timeout: 60_000 }, async () => {
  await using served = await startScriptedHost({ server: { tenantHeader: "x-tenant" } });
  const { host } = served;
  const texts = ["one"];
  for (let first = 0; first < 20_000; first += 500) {
    await Promise.all(
      Array.from({ length: 500 }, (_, index) =>
        host.embed(texts, { model: "fake-model", tenant: `t${first + index}` }),
      ),
    );
  }
  const metrics = await (await fetch(`${served.url}/metrics`)).text();
  expect(metrics).toMatch(/^embedding_gil_wait_seconds_count 20000$/m);
  expect(metrics).not.toMatch(/t19999|t7\b/);
});

async function queueHolds(served: ScriptedHost, inputs: number, headers?: Record<string, string>): Promise<void> {
  await until(`${inputs} inputs wait`, async () => (await served.waiting(headers)) === inputs);
}

async function finishAll({ pool }: ScriptedHost, answers: readonly Promise<Response>[]): Promise<void> {
  let isDone = false;
  const all = Promise.all(answers).finally(() => {
    isDone = true;
  });
  await until("all are answered", () => {
    pool.finishAll();
    return isDone;
  });
  expect(new Set((await all).map(({ status }) => status))).toEqual(new Set([200]));
}
