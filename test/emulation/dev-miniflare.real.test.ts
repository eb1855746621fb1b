import { once } from "node:events";
import { appendFileSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { alive, type DevCli, type Process, startDevCli } from "../doubles/dev-cli.ts";
import { project, repository } from "../doubles/functions-homes.ts";
import { until } from "../doubles/wait.ts";

const MODEL = "@cf/baai/bge-base-en-v1.5";
const BOUND = `export default {
  async fetch(request, env) {
    const before = await env.KV.get("key");
    await env.KV.put("key", "value");
    await env.DB.exec("CREATE TABLE IF NOT EXISTS numbers (number)");
    await env.DB.prepare("INSERT INTO numbers VALUES (?)").bind(7).run();
    await env.BUCKET.put("object", "content");
    await caches.default.put(request.url, new Response("cached", { headers: { "cache-control": "max-age=60" } }));
    await env.QUEUE.send("message");
    return Response.json({
      before,
      after: await env.KV.get("key"),
      greeting: env.GREETING,
      secret: env.SECRET,
      rows: (await env.DB.prepare("SELECT number FROM numbers").all()).results,
      object: await (await env.BUCKET.get("object")).text(),
      cached: await (await caches.default.match(request.url)).text(),
    });
  },
};
`;
const BINDINGS = `
[[d1_databases]]
binding = "DB"
database_name = "numbers"
database_id = "numbers"

[[r2_buckets]]
binding = "BUCKET"
bucket_name = "bucket"

[[queues.producers]]
binding = "QUEUE"
queue = "queue"
`;

/** The contract's project, in a place of its own inside the repository, so that its functions find their packages. */
const folder = mkdtempSync(path.join(repository, "test/contract/.embedge-dev-"));
cpSync(project, folder, { recursive: true, filter: (file) => !/\.(embedge|wrangler)$/.test(file) });
writeFileSync(path.join(folder, ".dev.vars"), "SECRET=from-dev-vars\n");
writeFileSync(path.join(folder, "functions/bound.ts"), BOUND);
appendFileSync(path.join(folder, "wrangler.toml"), BINDINGS);
writeFileSync(path.join(folder, "functions/loops.ts"), "export default { fetch() { for (;;); } };\n");
afterAll(() => rmSync(folder, { recursive: true }));

const start = (args: readonly string[] = [], cwd = folder): DevCli => startDevCli(["--miniflare", ...args], cwd);

/** The one that runs functions; the other belongs to wrangler's own proxy and starts first. */
function workerd(dev: DevCli): Process {
  const last = dev.processes().findLast(({ command }) => command.includes("workerd serve"));
  if (last === undefined) throw new Error(`no workerd runs:\n${dev.output()}`);
  return last;
}

function embed(url: string, text: string): Promise<Response> {
  return fetch(`${url}/embed`, { method: "POST", body: JSON.stringify({ model: MODEL, input: { text } }) });
}

/** Batches that run: calls that have got a permit less batches that have ended. */
async function running(url: string): Promise<number> {
  const metrics = await (await fetch(`${url}/metrics`)).text();
  const read = (name: string): number => Number(new RegExp(`^${name} (\\d+)`, "m").exec(metrics)?.[1] ?? 0);
  return read("embedding_gil_wait_seconds_count") - read("embedding_batch_seconds_count");
}

describe("embedge dev --miniflare", () => {
  let dev: DevCli;
  let url: string;
  beforeAll(async () => {
    dev = start();
    url = await dev.ready();
  });
  afterAll(() => dev[Symbol.asyncDispose]());

  test("serves functions in workerd at the host's one address", async () => {
    expect((await embed(url, "hello")).status).toBe(200);
    expect(dev.processes().filter(({ command }) => command.includes("workerd serve"))).toHaveLength(2);
  });

  test("vars, .dev.vars, KV, D1, R2, the cache and queues of wrangler.toml are there", async () => {
    expect(await (await fetch(`${url}/bound`)).json()).toEqual({
      before: null,
      after: "value",
      greeting: "hello",
      secret: "from-dev-vars",
      rows: [{ number: 7 }],
      object: "content",
      cached: "cached",
    });
  });

  test("workerd killed: the request that runs is 503, and the next ones are served, again and again (M01, M02)", async () => {
    for (const kill of [1, 2, 3]) {
      const cut = embed(url, `fault:hold:${500 + kill}`);
      await until("it runs", async () => (await running(url)) === 1);
      const killed = workerd(dev);
      process.kill(killed.pid, "SIGKILL");
      const answer = await cut;
      expect([answer.status, answer.headers.get("retry-after")]).toEqual([503, "1"]);
      expect(await answer.json()).toMatchObject({ error: { code: "worker_failed" } });
      await until("it serves again", async () => (await embed(url, "hello")).status === 200);
      expect(workerd(dev).pid).not.toBe(killed.pid);
    }
  });

  test("a change while a request runs: it is answered, the change counts, no worker is restarted (M08)", async () => {
    const pool = dev.processes().filter(({ command }) => command.includes("fake-python-worker"));
    const waiting = embed(url, "fault:hold:1500");
    await until("it runs", async () => (await running(url)) === 1);
    const file = path.join(folder, "functions/things/special.ts");
    writeFileSync(file, readFileSync(file, "utf8").replace('"special"', '"changed"'));
    expect([200, 503]).toContain((await waiting).status);
    // An answer that is cut by the change is seen as cut.
    const special = async (): Promise<string> => (await fetch(`${url}/things/special`)).text().catch(() => "cut");
    await until("the change counts", async () => (await special()) === "changed");
    expect((await embed(url, "hello")).status).toBe(200);
    expect(alive(pool)).toEqual(pool);
  });

  test("a change that cannot be built: what served before goes on, and the place is printed (F14)", async () => {
    const file = path.join(folder, "functions/broken.ts");
    writeFileSync(file, "export default {");
    await until("it is noticed", () => dev.output().includes("could not be built"));
    expect(dev.output()).toContain("functions/broken.ts:1:16");
    expect((await embed(url, "hello")).status).toBe(200);
    expect((await fetch(`${url}/readyz`)).status).toBe(200);
    const reloads = dev.output().split("Local server updated").length;
    rmSync(file);
    await until("all is well again", () => dev.output().split("Local server updated").length > reloads);
  });

  test("a function that loops for ever: 503 after its deadline, and others are served again (F04, M09)", async () => {
    const headers = { "x-request-timeout-ms": "200" };
    const answer = await fetch(`${url}/loops`, { headers });
    expect([answer.status, await answer.json()]).toMatchObject([503, { error: { code: "worker_failed" } }]);
    expect(dev.output()).toContain("workerd is stuck");
    await until("it serves again", async () => (await embed(url, "hello")).status === 200, 20_000);
  });

  test("all of wrangler killed: it is started again", async () => {
    const wrangler = dev.processes().find(({ command }) => command.includes("emulation/child"));
    process.kill(wrangler?.pid ?? 0, "SIGKILL");
    await until("it is noticed", async () => (await fetch(`${url}/readyz`)).status === 503);
    await until("it serves again", async () => (await embed(url, "hello")).status === 200, 20_000);
  });

  test("Ctrl-C leaves no process", async () => {
    const processes = dev.processes();
    dev.child.kill("SIGINT");
    expect(await dev.exited).toEqual([0, null]);
    expect(alive(processes)).toEqual([]);
  });
});

test("SIGKILL of embedge dev --miniflare leaves no process (M11)", async () => {
  await using dev = start();
  await dev.ready();
  const processes = dev.processes();
  dev.child.kill("SIGKILL");
  await dev.exited;
  await until("workerd and wrangler are gone", () => alive(processes).length === 0);
});

/** A project beside the other one. */
const write = (name: string, wranglerToml?: string): string => {
  const own = path.join(folder, name);
  mkdirSync(path.join(own, "functions"), { recursive: true });
  if (wranglerToml !== undefined) writeFileSync(path.join(own, "wrangler.toml"), wranglerToml);
  return own;
};

const OWN_MAIN = `import { DurableObject } from "cloudflare:workers";
export class Counter extends DurableObject {
  async next() {
    const count = ((await this.ctx.storage.get("count")) ?? 0) + 1;
    await this.ctx.storage.put("count", count);
    return count;
  }
}
export default {
  async fetch(request, env) {
    const { shape } = await env.AI.run("${MODEL}", { text: "own" });
    return Response.json({ shape, count: await env.COUNTER.getByName("a").next() }, { status: 201 });
  },
};
`;
const OWN_MAIN_TOML = `name = "own"
main = "worker.js"
compatibility_date = "2026-07-01"
[ai]
binding = "AI"
[durable_objects]
bindings = [{ name = "COUNTER", class_name = "Counter" }]
[[migrations]]
tag = "v1"
new_sqlite_classes = ["Counter"]
`;

test("a Worker with a `main` of its own and a Durable Object is served as it is", async () => {
  const own = write("own-main", OWN_MAIN_TOML);
  writeFileSync(path.join(own, "worker.js"), OWN_MAIN);
  writeFileSync(path.join(own, "embedge.toml"), `[models.aliases]\n"${MODEL}" = "default"\n`);
  await using dev = start([], own);
  const url = await dev.ready();
  for (const count of [1, 2]) {
    const response = await fetch(url);
    expect([response.status, await response.json()]).toMatchObject([201, { shape: [1, expect.any(Number)], count }]);
  }
});

describe("embedge dev --miniflare does not start", () => {
  test("with a compatibility date that workerd does not know: 78, and the newest known is named (M07)", async () => {
    await using dev = start([], write("too-new", 'name = "x"\nmain = "x.ts"\ncompatibility_date = "2099-01-01"\n'));
    expect((await dev.exited)[0]).toBe(78);
    expect(dev.output()).toMatch(
      /compatibility_date 2099-01-01 is newer than the installed workerd knows: \d{4}-\d\d-\d\d/,
    );
  });

  test("without wrangler.toml: 66", async () => {
    await using dev = start([], write("empty"));
    expect((await dev.exited)[0]).toBe(66);
    expect(dev.output()).toContain("wrangler.toml");
  });

  test("on a port that is taken: 69, and wrangler was not started (M03)", async () => {
    const other = createServer().listen(0, "127.0.0.1");
    await once(other, "listening");
    const { port } = other.address() as AddressInfo;
    await using dev = start(["--port", String(port)]);
    expect((await dev.exited)[0]).toBe(69);
    expect(dev.output()).toContain(`Port ${port}`);
    expect(dev.output()).not.toContain("custom build");
    other.close();
  });
});
