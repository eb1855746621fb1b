import { execFileSync } from "node:child_process";
import { setTimeout as delay } from "node:timers/promises";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { isRunning } from "../doubles/pool-recorder.ts";
import { connectRaw } from "../doubles/raw-client.ts";
import { type ServedCli, serveWithFakeWorkers } from "../doubles/served-cli.ts";
import { until } from "../doubles/wait.ts";

test("a start prints the address, the model, the pool, and a curl line that works", async () => {
  await using served = serveWithFakeWorkers();
  const said = await served.untilSaid("/api/v1/embed");
  const url = await served.url();
  expect(said).toContain(`embedge is ready on ${url}`);
  expect(said).toMatch(/model +embedge-serve-\w+: 8 dimensions, inputs up to 256 tokens, mean pooling/);
  expect(said).toMatch(/pool +2 workers, 4 permits, cpu/);
  const [, address = "", body = ""] = /curl -s (\S+) -d '(.+)'/.exec(said) ?? [];
  const headers = { "content-type": "application/x-www-form-urlencoded" };
  const answer = await fetch(address, { method: "POST", headers, body });
  expect(await answer.json()).toMatchObject({ dimension: 8 });
});

test("a port that is taken is named, and no worker is started: 69 (C09)", async () => {
  const other = createServer().listen(0, "127.0.0.1");
  await once(other, "listening");
  const { port } = other.address() as AddressInfo;
  await using served = serveWithFakeWorkers({}, ["--port", String(port)]);
  expect(await served.exited).toEqual([69, null]);
  expect(served.logged()).toContain(`Port ${port} of 127.0.0.1`);
  expect(served.logged()).toContain(`--port ${port + 1}`);
  expect(served.workerPids()).toEqual([]);
  other.close();
});

test("a model that is not there: 66 (C08)", async () => {
  await using served = serveWithFakeWorkers({}, ["--model", "/nowhere/model"]);
  expect(await served.exited).toEqual([66, null]);
  expect(served.workerPids()).toEqual([]);
});

test.each(["SIGTERM", "SIGINT"] as const)("%s finishes what runs, then ends with 0 (C12)", async (signal) => {
  await using served = serveWithFakeWorkers();
  await served.untilSaid("ready on");
  const answer = served.post("fault:hold:1000");
  await until("it runs", async () => (await served.batchesStarted()) === 1);
  served.child.kill(signal);
  expect((await answer).status).toBe(200);
  expect(await served.exited).toEqual([0, null]);
  expect(served.workerPids().filter(isRunning)).toEqual([]);
});

test("one Ctrl-C that npm passes on as well counts once: what runs is finished (C12)", async () => {
  await using served = serveWithFakeWorkers();
  await served.untilSaid("ready on");
  served.child.kill("SIGINT");
  await served.untilSaid("once more ends at once");
  served.child.kill("SIGINT");
  expect(await served.exited).toEqual([0, null]);
});

test.each([
  ["SIGTERM", 143],
  ["SIGINT", 130],
] as const)("a second %s ends at once: %i (C12)", async (signal, exitCode) => {
  await using served = serveWithFakeWorkers();
  await served.untilSaid("ready on");
  served.post("fault:stall").catch(() => {});
  await until("the batch runs", async () => (await served.batchesStarted()) === 1);
  served.child.kill(signal);
  await served.untilSaid("once more ends at once");
  // Those that follow within a moment are the same one, passed on.
  await until("it has ended", () => !served.child.kill(signal) || served.child.exitCode !== null);
  expect(await served.exited).toEqual([exitCode, null]);
  await until("the workers are gone", () => !served.workerPids().some(isRunning));
});

test("SIGTERM while the model loads ends at once with 0 and leaves no worker (C13)", async () => {
  await using served = serveWithFakeWorkers({ start: "never_ready" });
  await until("both workers have started", () => served.workerPids().length === 2);
  const atMs = performance.now();
  served.child.kill("SIGTERM");
  expect(await served.exited).toEqual([0, null]);
  expect(performance.now() - atMs).toBeLessThan(5_000);
  expect(served.workerPids().filter(isRunning)).toEqual([]);
});

test("the host lives on when nobody reads its output (C15)", async () => {
  await using served = serveWithFakeWorkers();
  const url = await served.url();
  served.child.stdout?.destroy();
  served.child.stderr?.destroy();
  for (const text of ["one", "two", "three"]) expect((await served.post(text)).status).toBe(200);
  expect(await (await fetch(`${url}/readyz`)).json()).toMatchObject({ status: "ready" });
});

test("SIGHUP reads the settings again, and a wrong file leaves everything as it was (C14)", async () => {
  const folder = mkdtempSync(join(tmpdir(), "embedge-settings-"));
  const file = join(folder, "embedge.toml");
  writeFileSync(file, "");
  try {
    await using served = serveWithFakeWorkers({}, ["--config", file]);
    const said = await served.untilSaid("ready on");
    expect(said).not.toContain("SIGHUP");
    writeFileSync(
      file,
      "[queue]\ninputsMax = 7\n[pool]\npermits = 1\n[server]\nport = 1\nbodyTimeoutMs = 9000\n[limits]\ntextsMax = 7\n",
    );
    served.child.kill("SIGHUP");
    const again = await served.untilSaid("Only a restart changes");
    expect(again).toContain("Changed now: pool.permits, queue.inputsMax, limits.textsMax.");
    expect(again).toContain("Only a restart changes: server.bodyTimeoutMs.");
    writeFileSync(file, "[queue]\ninputsMax = 8\ninputMax = 9\n");
    served.child.kill("SIGHUP");
    await until("it says what is wrong", () => served.logged().includes("nothing has changed"));
    expect(served.logged()).toContain("queue.inputMax: no such setting; the nearest is queue.inputsMax.");
    const eight = await fetch(`${await served.url()}/api/v1/embed`, {
      method: "POST",
      body: JSON.stringify({ texts: Array.from({ length: 8 }, () => "text") }),
      headers: { "content-type": "application/json" },
    });
    expect(eight.status).toBe(429);
    expect((await served.post("still here")).status).toBe(200);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("fewer permits by SIGHUP under load: every request is answered (Q22)", async () => {
  const folder = mkdtempSync(join(tmpdir(), "embedge-settings-"));
  const file = join(folder, "embedge.toml");
  writeFileSync(file, "");
  try {
    await using served = serveWithFakeWorkers({}, ["--config", file]);
    await served.untilSaid("ready on");
    const answers = Array.from({ length: 40 }, () => served.post("fault:hold:50"));
    await until("some run", async () => (await served.batchesStarted()) > 0);
    for (const permits of [1, 3, 2]) {
      const before = served.said().split("Changed now: pool.permits").length;
      writeFileSync(file, `[pool]\npermits = ${permits}\n`);
      served.child.kill("SIGHUP");
      await until("it has changed", () => served.said().split("Changed now: pool.permits").length > before);
    }
    const statuses = (await Promise.all(answers)).map(({ status }) => status);
    expect(statuses).toEqual(Array.from({ length: 40 }, () => 200));
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("another address without an API key: 78, with what to do; --insecure allows it (S03)", async () => {
  await using closed = serveWithFakeWorkers({}, ["--host", "0.0.0.0"]);
  expect(await closed.exited).toEqual([78, null]);
  expect(closed.logged()).toContain("there is no API key");
  expect(closed.workerPids()).toEqual([]);
  await using open = serveWithFakeWorkers({}, ["--host", "0.0.0.0", "--insecure"]);
  await open.untilSaid("ready on");
  expect((await open.post("hello")).status).toBe(200);
  expect((await fetch(`${await open.url()}/metrics`)).status).toBe(404);
});

test("a key made by the command opens a host that others reach; it stands in no log, file or process (S12, S14)", async () => {
  const folder = mkdtempSync(join(tmpdir(), "embedge-keys-"));
  const keysFile = join(folder, "keys.toml");
  const cli = (...args: string[]): string =>
    execFileSync(process.execPath, ["runtime/cli.ts", "keys", ...args, "--server-keys-file", keysFile], {
      encoding: "utf8",
    });
  try {
    const [key = ""] = cli("add", "alice", "--requests-per-minute", "1000").split("\n");
    expect(key).toMatch(/^embedge-[\w-]{43}$/);
    expect(readFileSync(keysFile, "utf8")).not.toContain(key);
    expect(statSync(keysFile).mode & 0o777).toBe(0o600);
    expect(cli("list")).toBe("alice  1000 requests a minute\n");
    const flags = ["--host", "0.0.0.0", "--server-keys-file", keysFile, "--log-level", "trace", "--log-format", "json"];
    await using served = serveWithFakeWorkers({}, flags);
    await served.untilSaid("ready on");
    const url = (await served.url()).replace("0.0.0.0", "127.0.0.1");
    const post = (authorization: string): Promise<Response> =>
      fetch(`${url}/api/v1/embed`, {
        method: "POST",
        body: '{"texts":["hello"]}',
        headers: { authorization, "content-type": "application/json" },
      });
    expect((await post(`Bearer ${key}`)).status).toBe(200);
    const refused = await post(`Bearer ${key}x`);
    expect(refused.status).toBe(401);
    expect(await refused.text()).not.toContain(key);
    const metrics = await (await fetch(`${url}/metrics`, { headers: { "x-api-key": key } })).text();
    const pids = process.platform === "linux" ? served.workerPids() : [];
    const environments = pids.map((pid) => readFileSync(`/proc/${pid}/environ`, "utf8"));
    for (const text of [metrics, served.logged(), served.said(), ...environments]) expect(text).not.toContain(key);
    expect(cli("rm", "alice")).toContain("is gone");
    served.child.kill("SIGHUP");
    await until("it refuses to be open to all", () => served.logged().includes("nothing has changed"));
    expect((await post(`Bearer ${key}`)).status).toBe(200);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("a rejection that a function leaves behind is told, and the host lives on (F05)", async () => {
  const folder = mkdtempSync(join(tmpdir(), "embedge-functions-"));
  const rejects = 'void Promise.reject(new Error("left behind"))';
  writeFileSync(join(folder, "stray.mjs"), `export default { fetch() { ${rejects}; return new Response("ok"); } };`);
  try {
    await using served = serveWithFakeWorkers({}, ["--functions-dir", folder]);
    const url = await served.url();
    expect(await (await fetch(`${url}/stray`)).text()).toBe("ok");
    await until("the log says so", () => served.logged().includes("left behind"));
    expect(served.logged()).toContain("stray.mjs");
    expect((await fetch(`${url}/stray`)).status).toBe(200);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

/** `embedge serve` over one function. */
async function serveFunction(text: string): Promise<ServedCli> {
  const folder = mkdtempSync(join(tmpdir(), "embedge-functions-"));
  writeFileSync(join(folder, "own.mjs"), text);
  const served = serveWithFakeWorkers({}, ["--functions-dir", folder]);
  await served.untilSaid("ready on");
  rmSync(folder, { recursive: true });
  return served;
}

test("a function that calls process.exit gets an error, and the host lives on (F17)", async () => {
  await using served = await serveFunction("export default { async fetch() { await 0; process.exit(2); } };");
  expect((await fetch(`${await served.url()}/own`)).status).toBe(500);
  await until("the log says so", () => served.logged().includes("may not end the process"));
  expect((await fetch(`${await served.url()}/healthz`)).status).toBe(200);
  served.child.kill("SIGTERM");
  expect(await served.exited).toEqual([0, null]);
});

test("embedge ends as ever where a project's folder holds embedge itself (F17)", async () => {
  const root = join(import.meta.dirname, "../..");
  await using served = serveWithFakeWorkers({}, ["--projects", JSON.stringify({ whole: root })]);
  await served.untilSaid("ready on");
  served.child.kill("SIGTERM");
  expect(await served.exited).toEqual([0, null]);
});

test("a function that loops for ever is named on stderr by a thread of its own, and the second Ctrl-C ends it (F04)", async () => {
  await using served = await serveFunction("export default {\n  fetch() {\n    for (;;);\n  },\n};\n");
  fetch(`${await served.url()}/own`).catch(() => {});
  await until("it is named", () => /It runs .*own\.mjs:3, called from/.test(served.logged()));
  served.child.kill("SIGINT");
  // Sooner it would count as the same one, passed on by npm.
  await delay(600);
  served.child.kill("SIGINT");
  expect(await served.exited).toEqual([137, null]);
});

test("a model that cannot be served is told on the terminal and by /readyz, and mending it is enough (W09)", async () => {
  await using served = serveWithFakeWorkers({ start: "start_failed", badStarts: 8 });
  await served.untilSaid("there is no config.json. Nothing can be embedded until this is mended");
  const answer = await until("neither worker can start", async () => {
    const text = await (await fetch(`${await served.url()}/readyz`)).text();
    return text.includes("start_failed") && (JSON.parse(text) as object);
  });
  expect(answer).toMatchObject({ problems: ["The worker cannot start: bad_model: there is no config.json."] });
  await served.untilSaid("ready on");
  expect((await fetch(`${await served.url()}/readyz`)).status).toBe(200);
});

test("what is told at the start counts the workers that can serve", async () => {
  await using whole = serveWithFakeWorkers();
  expect(await whole.untilSaid("permits")).toMatch(/pool {3}2 workers, 4 permits/);
  await using half = serveWithFakeWorkers({ start: "never_ready", badStarts: 1 });
  expect(await half.untilSaid("permits")).toMatch(/pool {3}1 of 2 workers, 4 permits/);
});

test("while no worker starts, the reason is printed once, and the host goes on trying (W09)", async () => {
  await using served = serveWithFakeWorkers({ start: "start_failed", badStarts: 4 });
  const said = await served.untilSaid("ready on");
  expect(said.match(/there is no config\.json/g)).toHaveLength(1);
});

test("with 64 file descriptors it serves; connections beyond them wait or are closed, and it serves on (C10)", async () => {
  await using served = serveWithFakeWorkers({}, [], { descriptorsMax: 64 });
  await served.untilSaid("ready on");
  const port = Number(new URL(await served.url()).port);
  const crowd = await Promise.all(Array.from({ length: 100 }, () => connectRaw(port)));
  for (const { socket } of crowd) socket.destroy();
  await until("it answers again", async () => {
    const answer = await served.post("after the crowd").catch(() => undefined);
    return answer?.status === 200;
  });
});
