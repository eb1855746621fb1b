import { expect, test } from "vitest";
import { connectRaw } from "../doubles/raw-client.ts";
import { type ScriptedHost, startScriptedHost } from "../doubles/scripted-host.ts";
import { until } from "../doubles/wait.ts";

const oneByHand = { workerPermits: [1], answers: "by_hand" } as const;
const soon = { "x-request-timeout-ms": "60" };
const texts = Array.from({ length: 100 }, (_, index) => `text ${index}`);

interface Failure {
  readonly error: { readonly code: string; readonly param: string; readonly message: string };
}

async function expectPhase(response: Response, phase: string): Promise<void> {
  const { error } = (await response.json()) as Failure;
  expect(response.status).toBe(504);
  expect(error).toMatchObject({ code: "deadline_exceeded", param: phase });
  expect(error.message).toContain(`(${phase})`);
  expect(response.headers.get("x-should-retry")).toBe(phase === "queued" ? "true" : null);
}

test("a deadline that passes in the queue is told as queued (Q08)", async () => {
  await using served = await startScriptedHost({}, oneByHand);
  const running = served.embed(["runs"]);
  await until("it runs", () => served.pool.running.length === 1);
  await expectPhase(await served.embed(["waits"], soon), "queued");
  expect(await served.waiting()).toBe(0);
  served.pool.running[0]?.finish();
  expect((await running).status).toBe(200);
  expect(served.pool.started).toHaveLength(1);
});

test("one that passes behind another batch of the same worker is told as batched (Q10)", async () => {
  await using served = await startScriptedHost({ batch: { inputsMax: 4 } }, { ...oneByHand, workerPermits: [2] });
  const running = served.embed(["runs"]);
  await until("it runs", () => served.pool.running.length === 1);
  const batched = served.embed(["a", "b", "c", "d"], soon);
  await until("a full batch is behind it", () => served.pool.running.length === 2);
  await expectPhase(await batched, "batched");
  served.pool.running[0]?.finish();
  expect((await running).status).toBe(200);
});

test("one that passes while the batch runs is told as in_flight, and the permit stays with the batch (Q11)", async () => {
  await using served = await startScriptedHost({}, oneByHand);
  await expectPhase(await served.embed(["runs"], soon), "in_flight");
  const next = served.embed(["next"]);
  await until("it waits", async () => (await served.waiting()) === 1);
  expect(served.pool.running).toHaveLength(1);
  served.pool.running[0]?.finish();
  await until("it runs", () => served.pool.running[0]?.request.texts[0] === "next");
  served.pool.running[0]?.finish();
  expect((await next).status).toBe(200);
});

test("one that passes in the function itself is told as in_flight (F03)", async () => {
  await using served = await startScriptedHost();
  await served.host.replaceWorkers([
    { name: "stuck", script: "export default { fetch: () => new Promise(() => {}) }" },
  ]);
  await expectPhase(await fetch(served.url, { headers: soon }), "in_flight");
});

test("one that cannot be met by what batches take ends without a permit (Q09)", async () => {
  await using served = await startScriptedHost({}, oneByHand);
  const first = served.embed(texts.slice(0, 30));
  await until("it runs", () => served.pool.running.length === 1);
  // So that a batch is known to take its time.
  await new Promise((resolve) => setTimeout(resolve, 300));
  served.pool.running[0]?.finish();
  await first;
  const hopeless = await served.embed(texts.slice(30, 60), { "x-request-timeout-ms": "100" });
  await expectPhase(hopeless, "queued");
  expect(served.pool.started).toHaveLength(1);
});

/** Asks by a socket of its own, so that it can go away. */
async function ask({ port }: ScriptedHost, path: string, body: object): Promise<() => void> {
  const text = JSON.stringify(body);
  const head = `POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${text.length}`;
  const client = await connectRaw(port, `${head}\r\n\r\n${text}`);
  return () => client.socket.destroy();
}

test("a client that goes away while its texts wait frees their places at once (Q01)", async () => {
  await using served = await startScriptedHost({}, oneByHand);
  const running = served.embed(["runs"]);
  await until("it runs", () => served.pool.running.length === 1);
  const leave = await ask(served, "/api/v1/embed", { texts, model: "fake-model" });
  await until("its texts wait", async () => (await served.waiting()) === texts.length);
  leave();
  await until("no text waits", async () => (await served.waiting()) === 0);
  served.pool.running[0]?.finish();
  expect((await running).status).toBe(200);
  expect(served.pool.started).toHaveLength(1);
});

test.each([
  ["/api/v1/embed", { texts, model: "fake-model" }],
  ["/v1/embeddings", { input: [...texts, ...texts, ...texts], model: "fake-model" }],
])("a client of %s that goes away in the middle: no later batch of it is run (Q02)", async (path, body) => {
  await using served = await startScriptedHost({ batch: { inputsMax: 10 } }, oneByHand);
  const leave = await ask(served, path, body);
  await until("its first batch runs", () => served.pool.running.length === 1);
  const next = served.embed(["next"]);
  await until("all others wait", async () => (await served.waiting()) >= 91);
  leave();
  await until("only the other one waits", async () => (await served.waiting()) === 1);
  served.pool.running[0]?.finish();
  await until("the other one runs", () => served.pool.running.length === 1);
  served.pool.running[0]?.finish();
  expect((await next).status).toBe(200);
  expect(served.pool.started.map(({ request }) => request.texts.length)).toEqual([10, 1]);
});
