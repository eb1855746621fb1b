import { writeFileSync } from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";
import { makeKey, writeKeys } from "../../runtime/config/keys-file.ts";
import { ConfigError } from "../../runtime/config/problems.ts";
import type { Settings } from "../../runtime/embedge.ts";
import { makeFolder } from "../doubles/folder.ts";
import { type ScriptedHost, startScriptedHost } from "../doubles/scripted-host.ts";
import { until } from "../doubles/wait.ts";

const pool = { workers: 2, permits: 4 };

/** The host's settings, changed so; the rest stays as it started. */
function change(
  { host, folder }: ScriptedHost,
  settings: Settings,
): ReturnType<ScriptedHost["host"]["changeSettings"]> {
  return host.changeSettings({
    log: { level: "silent" },
    pool,
    ...settings,
    models: { default: path.join(folder, "fake-model"), ...settings.models },
    server: { port: 0, ...settings.server },
  });
}

test("says what has changed and what waits for the next start", async () => {
  await using served = await startScriptedHost();
  expect(change(served, { queue: { inputsMax: 500 }, server: { port: 1 }, batch: { inputsMax: 8 } })).toEqual({
    changed: ["queue.inputsMax"],
    waiting: ["server.port", "batch.inputsMax"],
  });
  expect(change(served, { queue: { inputsMax: 500 } })).toEqual({ changed: [], waiting: [] });
});

test("limits, names, origins and queue count from the next request on (Q39)", async () => {
  await using served = await startScriptedHost({}, { answers: "by_hand", workerPermits: [2, 2] });
  const embed = (model: string, texts: readonly string[] = ["a"]): Promise<Response> =>
    fetch(`${served.url}/api/v1/embed`, {
      method: "POST",
      headers: { "content-type": "application/json", origin: "https://app.example" },
      body: JSON.stringify({ texts, model }),
    });
  expect((await embed("mine")).status).toBe(403);
  const server = { allowedOrigins: ["https://app.example"], bodyBytesMax: 2_000 };
  change(served, {
    server,
    models: { aliases: { mine: "default" } },
    limits: { textsMax: 2 },
    queue: { inputsMax: 3 },
  });
  expect((await embed("mine", ["x".repeat(2_000)])).status).toBe(413);
  const admitted = embed("mine", ["a", "b", "c"]);
  await until("it runs, two texts a run", () => served.pool.running.length > 0);
  expect((await embed("mine", ["a", "b", "c", "d"])).status).toBe(429);
  const answered = until("it is answered", () => {
    served.pool.finishAll();
    return admitted;
  });
  expect((await answered).status).toBe(200);
});

test("what is wrong leaves everything as it was (C14)", async () => {
  await using served = await startScriptedHost();
  const keysFile = path.join(served.folder, "keys.toml");
  writeFileSync(keysFile, "[keys.a]\nsha256 = 'sk-CANARY'\n");
  const wrong: Settings[] = [
    { queue: { inputsMax: -1 } },
    { limits: { textsMax: 100_000 } },
    { server: { keysFile: "/nowhere" } },
    { server: { keysFile } },
  ];
  for (const settings of wrong) {
    const aliases = { mine: "default" };
    expect(() => change(served, { ...settings, models: { aliases } })).toThrow(ConfigError);
    expect(() => change(served, { ...settings })).not.toThrow("CANARY");
  }
  expect(served.host.models()[0]?.aliases).toEqual([]);
  expect((await served.embed(["still here"])).status).toBe(200);
});

test("keys come and go", async () => {
  await using served = await startScriptedHost();
  const keysFile = path.join(served.folder, "keys.toml");
  const { key, entry } = makeKey("alice");
  writeKeys(keysFile, [entry]);
  change(served, { server: { keysFile } });
  expect((await served.embed(["a"])).status).toBe(401);
  expect((await served.embed(["a"], { authorization: `Bearer ${key}` })).status).toBe(200);
  writeKeys(keysFile, []);
  change(served, { server: { keysFile } });
  expect((await served.embed(["a"])).status).toBe(200);
});

test("the last key cannot go from a host that others reach (S03)", async () => {
  using folder = makeFolder();
  const keysFile = path.join(folder.path, "keys.toml");
  writeKeys(keysFile, [makeKey("alice").entry]);
  const server = { host: "0.0.0.0", keysFile };
  await using served = await startScriptedHost({ server });
  writeKeys(keysFile, []);
  expect(() => change(served, { server })).toThrow("there is no API key");
  // The new address would wait for the next start, so that it does not help.
  expect(() => change(served, { server: { ...server, host: "127.0.0.1" } })).toThrow("there is no API key");
  const local = served.url.replace("0.0.0.0", "127.0.0.1");
  expect((await fetch(`${local}/api/v1/embed`, { method: "POST" })).status).toBe(401);
});

test("fewer permits: what runs ends, nothing that waits is lost, and no more run than there are (Q22)", async () => {
  await using served = await startScriptedHost(
    { batch: { inputsMax: 1 } },
    { answers: "by_hand", workerPermits: [2, 2] },
  );
  const answers = Array.from({ length: 12 }, (_, index) => served.embed([`text ${index}`]));
  await until(
    "four run and eight wait",
    async () => served.pool.running.length === 4 && (await served.waiting()) === 8,
  );
  expect(change(served, { pool: { ...pool, permits: 1 }, batch: { inputsMax: 1 } }).changed).toEqual(["pool.permits"]);
  const most: number[] = [];
  let isDone = false;
  const all = Promise.all(answers).finally(() => {
    isDone = true;
  });
  const hasEnded = (): boolean => isDone;
  for (let finished = 0; !hasEnded(); finished++) {
    await until("one runs or all are done", () => isDone || served.pool.running.length > 0);
    served.pool.running[0]?.finish();
    await new Promise((resolve) => setImmediate(resolve));
    if (finished >= 3) most.push(served.pool.running.length);
  }
  expect(Math.max(...most)).toBe(1);
  expect(new Set((await all).map(({ status }) => status))).toEqual(new Set([200]));
});

test("more permits start what waits at once, and a worker that is started again has its share", async () => {
  await using served = await startScriptedHost(
    { batch: { inputsMax: 1 }, pool: { workers: 2, permits: 2 } },
    { answers: "by_hand", workerPermits: [1, 1] },
  );
  const answers = Array.from({ length: 20 }, (_, index) => served.embed([`text ${index}`]));
  await until("two run", async () => served.pool.running.length === 2 && (await served.waiting()) === 18);
  change(served, { pool, batch: { inputsMax: 1 } });
  expect(served.pool.running).toHaveLength(4);
  const lost = served.pool.running[0]?.workerId ?? "";
  served.pool.lose(lost);
  await until("it is gone", () => !served.pool.running.some(({ workerId }) => workerId === lost));
  // What died in a batch runs alone first; then there is one more batch than either worker began with.
  const most = new Map<string, number>();
  let isDone = false;
  const all = Promise.all(answers).finally(() => {
    isDone = true;
  });
  await until("all are answered", () => {
    for (const { workerId } of served.pool.running) {
      const count = served.pool.running.filter((run) => run.workerId === workerId).length;
      most.set(workerId, Math.max(most.get(workerId) ?? 0, count));
    }
    served.pool.running[0]?.finish();
    return isDone;
  });
  expect(new Set((await all).map(({ status }) => status))).toEqual(new Set([200]));
  expect(most.size).toBe(2);
  expect([...most.values()]).toEqual([2, 2]);
});
