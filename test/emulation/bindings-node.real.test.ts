import { execFile, execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BOUND_CONFIG, eventsOf, makeBoundProjects } from "../doubles/bound-project.ts";
import { createFakeHost } from "../doubles/fake-host.ts";
import { alive, childrenOf, type DevCli, type Process, startDevCli } from "../doubles/dev-cli.ts";
import { project, QUIET, repository } from "../doubles/functions-homes.ts";
import { until } from "../doubles/wait.ts";

const projects = makeBoundProjects();
afterAll(() => projects.remove());

/** workerd and what watches over it. */
function emulation(dev: DevCli): readonly Process[] {
  return dev.processes().filter(({ command }) => /workerd serve/.test(command));
}

describe("embedge dev", () => {
  const { folder, write, configure } = projects.make("dev");
  let dev: DevCli;
  let url: string;
  beforeAll(async () => {
    dev = startDevCli([], folder);
    url = await dev.ready();
  });
  afterAll(() => dev[Symbol.asyncDispose]());

  const bound = async (waitMs = 0): Promise<Record<string, unknown>> =>
    (await (await fetch(`${url}/bound?${waitMs}`)).json()) as Record<string, unknown>;
  const send = (...bodies: readonly string[]): Promise<Response> =>
    fetch(`${url}/send`, { method: "POST", body: JSON.stringify(bodies) });
  const count = (text: string): number => dev.output().split(text).length - 1;
  const fire = (query: string): Promise<Response> => fetch(`${url}/cdn-cgi/handler/scheduled?${query}`);

  test("functions have what wrangler's file declares, and env.AI stays the host's", async () => {
    expect(await bound()).toEqual({
      at: null,
      row: 7,
      object: "text",
      greeting: "hello",
      secret: "from # .dev.vars",
      ai: [1, 8],
      cached: null,
      names: "AI,BUCKET,DB,EMBEDDING_MODEL,EMBEDDING_TEXTS_MAX,GREETING,JOBS,KV,SECRET",
    });
    expect(emulation(dev).filter(({ command }) => !command.startsWith("/bin/sh"))).toHaveLength(1);
  });

  test("what they keep lies where wrangler finds it", async () => {
    const bin = path.join(repository, "node_modules/wrangler/bin/wrangler.js");
    const args = [bin, "kv", "key", "get", "key", "--binding", "KV", "--local"];
    const env = { PATH: process.env["PATH"], HOME: process.env["HOME"], ...QUIET };
    const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: folder, env });
    expect(stdout.trim()).toBe("value");
  });

  test("messages are handled, sent back and handed over again, as far as max_retries", async () => {
    await send("plain", "ack", "retry");
    await until("the last try", () => count('got "retry" 3') === 1);
    expect([count('got "plain"'), count('got "ack"'), count('got "retry"')]).toEqual([1, 1, 3]);
    await send("throw");
    await until("it is handed over again", () => count('got "throw" 2') === 1);
    expect(dev.output()).toContain("the handler threw");
  });

  test("workerd killed: each request is answered, and soon from the next one", async () => {
    const killed = emulation(dev).find(({ command }) => !command.startsWith("/bin/sh"));
    process.kill(killed?.pid ?? 0, "SIGKILL");
    // This one may have had its bindings before.
    expect(await bound()).toBeTypeOf("object");
    await until("it serves again", async () => "object" in (await bound()));
    expect(alive(killed === undefined ? [] : [killed])).toEqual([]);
  });

  test("a changed file: the next event finds the new handler, and nothing is doubled", async () => {
    const before = emulation(dev);
    write("functions/events.mjs", eventsOf(2));
    await until(
      "the new one fires",
      async () => (await fire("cron=changed&time=1")).ok && count("v2 fired changed") > 0,
    );
    await send("after");
    await until("the new one gets it", () => count('v2 got "after" 1') === 1);
    expect(count('v1 got "after"')).toBe(0);
    expect(alive(before)).toEqual(before);
  });

  test("changed variables count without a new workerd", async () => {
    const before = emulation(dev);
    write(".dev.vars", "SECRET=changed\n");
    await until("it counts", async () => (await bound())["secret"] === "changed");
    expect(alive(before)).toEqual(before);
  });

  test("changed bindings count, a request that runs keeps its own, and the old workerd ends", async () => {
    const before = emulation(dev);
    const running = bound(3_000);
    configure({ kv_namespaces: [...BOUND_CONFIG.kv_namespaces, { binding: "MORE", id: "more" }] });
    await until("they count", async () => "more" in (await bound()), 20_000);
    expect(await running).toMatchObject({ at: "value", object: "text" });
    await until("the old workerd is gone", () => alive(before).length === 0);
    await send("once");
    await until("it is handled", () => count('got "once"') > 0);
    expect(count('got "once"')).toBe(1);
  }, 40_000);

  test("a cron fires at the minute of the clock, in UTC, once, whatever was loaded anew meanwhile", async () => {
    const fired = (): readonly number[] =>
      [...dev.output().matchAll(/fired \* \* \* \* \* (\d+) true/g)].map(([, at]) => Number(at));
    await until("it fires", () => fired().length > 0, 65_000);
    expect(fired().map((at) => at % 60_000)).toEqual(fired().map(() => 0));
    expect(new Set(fired()).size).toBe(fired().length);
    expect(Math.abs(Date.now() - (fired().at(-1) ?? 0))).toBeLessThan(120_000);
  }, 70_000);

  test("a wrong cron, or a file that is none: all stays as it was, and the place is told", async () => {
    configure({ triggers: { crons: ["61 * * * *"] } });
    await until("it is told", () => count('The cron \\"61 * * * *\\" has \\"61\\" for a minute') > 0);
    write("wrangler.jsonc", "{");
    await until("it is told", () => count("wrangler.jsonc:1:2: not JSON") > 0);
    expect(await bound()).toMatchObject({ object: "text" });
  });

  test("Ctrl-C leaves no process", async () => {
    const processes = dev.processes();
    dev.child.kill("SIGINT");
    expect(await dev.exited).toEqual([0, null]);
    expect(alive(processes)).toEqual([]);
  });
});

test("cloudflare:workers has env of the running request, at the top of a module too", async () => {
  await using dev = startDevCli([], project);
  const url = await dev.ready();
  const answer = await fetch(`${url}/ambient?key=${crypto.randomUUID()}`);
  expect(await answer.json()).toMatchObject({
    atTheTop: { greeting: "hello", has: true, isRefused: true },
    now: "now",
  });
});

test("a host in somebody else's process listens to no signal for it, and leaves nothing behind", async () => {
  const { folder } = projects.make("mounted");
  const listeners = (): readonly number[] =>
    ["SIGINT", "SIGTERM", "SIGHUP", "exit"].map((name) => process.listenerCount(name));
  const own = (): readonly Process[] => childrenOf(process.pid).filter(({ command }) => /workerd serve/.test(command));
  const before = listeners();
  const fake = await createFakeHost({ functions: { dir: path.join(folder, "functions") }, log: { level: "silent" } });
  const answer = await fake.host.fetch(new Request("http://localhost/send", { method: "POST", body: '["x"]' }));
  expect(answer.status).toBe(204);
  expect(listeners().slice(0, 3)).toEqual(before.slice(0, 3));
  const running = own();
  // workerd, and what watches over it.
  expect(running).toHaveLength(2);
  await fake[Symbol.asyncDispose]();
  expect(alive(running)).toEqual([]);
  expect(listeners()).toEqual(before);
});

test("SIGKILL leaves no workerd (M11)", async () => {
  await using dev = startDevCli([], projects.make("killed").folder);
  await dev.ready();
  const processes = dev.processes();
  expect(processes.some(({ command }) => command.includes("workerd serve"))).toBe(true);
  dev.child.kill("SIGKILL");
  await dev.exited;
  await until("they are gone", () => alive(processes).length === 0);
});

test("two projects see their own bindings alone", async () => {
  const root = path.join(projects.parent, "two");
  mkdirSync(path.join(root, "functions"), { recursive: true });
  const names = `export default { async fetch(request, env) {
    if (request.method === "PUT") await env.KV.put("key", await request.text());
    return Response.json([Object.keys(env).filter((name) => /KV|WORD/.test(name)).toSorted(), await env.KV?.get("key")]);
  } };`;
  for (const name of ["one", "other"]) {
    mkdirSync(path.join(root, name));
    writeFileSync(path.join(root, name, "main.mjs"), names);
    const config = { name, main: "main.mjs", compatibility_date: "2026-07-01", route: `${name}.example/*` };
    const bound = { ...config, kv_namespaces: [{ binding: "KV", id: "kv" }], vars: { [`WORD_${name}`]: name } };
    writeFileSync(path.join(root, name, "wrangler.json"), JSON.stringify(bound));
  }
  writeFileSync(path.join(root, "functions/index.mjs"), names);
  writeFileSync(path.join(root, "embedge.toml"), '[projects]\none = "one"\nother = "other"\n');
  await using dev = startDevCli([], root);
  const url = await dev.ready();
  const ask = (host: string, body?: string): unknown => {
    const args = ["-s", "-H", `Host: ${host}`, ...(body === undefined ? [] : ["-X", "PUT", "-d", body]), `${url}/`];
    return JSON.parse(execFileSync("curl", args, { encoding: "utf8" }));
  };
  expect(ask("one.example", "of one")).toEqual([["KV", "WORD_one"], "of one"]);
  expect(ask("other.example")).toEqual([["KV", "WORD_other"], null]);
  expect(ask("localhost")).toEqual([[], null]);
  const workerds = emulation(dev).filter(({ command }) => !command.startsWith("/bin/sh"));
  expect(workerds).toHaveLength(2);
});
