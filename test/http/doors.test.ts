import { hostname } from "node:os";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { makeKey, writeKeys } from "../../runtime/config/keys-file.ts";
import { ConfigError } from "../../runtime/config/problems.ts";
import { freePort } from "../doubles/free-port.ts";
import { makeFolder } from "../doubles/folder.ts";
import { connectRaw } from "../doubles/raw-client.ts";
import { type ScriptedHost, startScriptedHost } from "../doubles/scripted-host.ts";

const open = { host: "0.0.0.0", allowUnauthenticated: true } as const;

async function statusOf(port: number, target: string, headers: Record<string, string>): Promise<number> {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  const client = await connectRaw(port, `GET ${target} HTTP/1.1\r\n${lines.join("")}Connection: close\r\n\r\n`);
  return Number((await client.closed()).slice(9, 12));
}

describe("a host that listens to other machines", () => {
  test.each(["0.0.0.0", "::", "192.168.1.5"])("on %s does not open without an API key (S03)", async (host) => {
    await expect(startScriptedHost({ server: { host } })).rejects.toThrow(ConfigError);
  });

  test("opens with one, and asks for it", async () => {
    using folder = makeFolder();
    const keysFile = path.join(folder.path, "keys.toml");
    const { key, entry } = makeKey("alice");
    writeKeys(keysFile, [entry]);
    await using served = await startScriptedHost({ server: { host: "0.0.0.0", keysFile } });
    const headers = { Host: "203.0.113.7:8080" };
    expect(await statusOf(served.port, "/metrics", headers)).toBe(401);
    expect(await statusOf(served.port, "/metrics", { ...headers, Authorization: `Bearer ${key}` })).toBe(200);
    expect(await statusOf(served.port, "/healthz", headers)).toBe(200);
  });

  test.each(["203.0.113.7", "203.0.113.7:8080", "[2001:db8::1]:8080", hostname(), `${hostname()}.local`, "localhost"])(
    "is called %s",
    async (Host) => {
      await using served = await startScriptedHost({ server: open });
      expect(await statusOf(served.port, "/healthz", { Host })).toBe(200);
    },
  );

  test.each(["evil.example", "203.0.113.7.evil.example", "0x7f.evil"])("is not called %s (S01)", async (Host) => {
    await using served = await startScriptedHost({ server: open });
    expect(await statusOf(served.port, "/healthz", { Host })).toBe(403);
  });

  test("has no metrics for those whom it does not know (S28)", async () => {
    await using served = await startScriptedHost({ server: open });
    expect(await statusOf(served.port, "/metrics", { Host: "localhost" })).toBe(404);
  });
});

describe("metrics on a port of their own (S28)", () => {
  async function serve(settings: Parameters<typeof startScriptedHost>[0] = {}): Promise<[ScriptedHost, number]> {
    const port = await freePort();
    return [await startScriptedHost({ ...settings, metrics: { port, ...settings.metrics } }), port];
  }

  test("are there and nowhere else, and nothing else is there", async () => {
    const [served, port] = await serve();
    await using _ = served;
    expect(await statusOf(port, "/metrics", { Host: "localhost" })).toBe(200);
    expect(await statusOf(served.port, "/metrics", { Host: "localhost" })).toBe(404);
    expect(await statusOf(port, "/healthz", { Host: "localhost" })).toBe(404);
    expect(await statusOf(port, "/api/v1/embed", { Host: "localhost" })).toBe(404);
  });

  test("are for no web page, whatever name it has", async () => {
    const [served, port] = await serve({ server: { allowedOrigins: ["*"] } });
    await using _ = served;
    expect(await statusOf(port, "/metrics", { Host: "evil.example" })).toBe(403);
    expect(await statusOf(port, "/metrics", { Host: "localhost", Origin: "https://evil.example" })).toBe(403);
  });

  test("ask for a key where other machines reach them", async () => {
    using folder = makeFolder();
    const keysFile = path.join(folder.path, "keys.toml");
    const { key, entry } = makeKey("prometheus");
    writeKeys(keysFile, [entry]);
    const [served, port] = await serve({ server: { keysFile }, metrics: { host: "0.0.0.0" } });
    await using _ = served;
    expect(await statusOf(port, "/metrics", { Host: "10.0.0.1" })).toBe(401);
    expect(await statusOf(port, "/metrics", { Host: "10.0.0.1", Authorization: `Bearer ${key}` })).toBe(200);
  });

  test("do not open to other machines without one", async () => {
    await expect(serve({ metrics: { host: "0.0.0.0" } })).rejects.toThrow("metrics.host");
  });
});

test("the door of env.AI is on the loopback alone, however the host is opened", async () => {
  await using served = await startScriptedHost({ server: open });
  const { url } = await served.host.listenUpstream();
  expect(new URL(url).hostname).toBe("127.0.0.1");
  expect(await statusOf(Number(new URL(url).port), "/ai-api/models/search", { Host: "203.0.113.7" })).toBe(403);
});
