import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import {
  createServer,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  type RequestListener,
  type Server,
  type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startWrangler, type WranglerServer } from "../../runtime/emulation/wrangler.ts";
import { QUIET, repository } from "../doubles/functions-homes.ts";
import { until } from "../doubles/wait.ts";

const WORKER = `export default {
  async fetch(request, env) {
    const answer = await env.AI.run("m", { text: "a" }).catch((error) => ({ failed: error.message, retryable: error.retryable }));
    return Response.json({ answer, binding: env.AI.constructor.name, greeting: env.GREETING, extra: env.EXTRA, word: "first" });
  },
};
`;
const CONFIG = `name = "own"
main = "worker.js"
compatibility_date = "2026-07-01"
[ai]
binding = "AI"
[vars]
GREETING = "hello"
`;

/** Half of what is announced, or of what is JSON, and then the connection is gone. */
function cut(outgoing: ServerResponse, headers: OutgoingHttpHeaders): void {
  outgoing.writeHead(200, { "content-type": "application/json", ...headers });
  outgoing.write('{"vectors":', () => outgoing.destroy());
}

/** What runtime/emulation/wrangler.ts builds on: where a new wrangler changes it, this fails and says what. */
describe("wrangler, as far as it is used", () => {
  const folder = mkdtempSync(path.join(repository, "test/emulation/.embedge-wrangler-"));
  const served: string[] = [];
  const problems: string[] = [];
  const asked: { line: string; headers: IncomingHttpHeaders }[] = [];
  let upstream: Server;
  const whole: RequestListener = (_, outgoing) => {
    outgoing.writeHead(200, { "content-type": "application/json" }).end('{"vectors":1}');
  };
  let answer = whole;
  let wrangler: WranglerServer;

  const word = async (): Promise<Record<string, unknown>> =>
    (await (await fetch(served.at(-1) ?? "")).json()) as Record<string, unknown>;

  beforeAll(async () => {
    Object.assign(process.env, QUIET);
    writeFileSync(path.join(folder, "wrangler.toml"), CONFIG);
    writeFileSync(path.join(folder, "worker.js"), WORKER);
    upstream = createServer((incoming, outgoing) => {
      asked.push({ line: `${incoming.method} ${incoming.url}`, headers: incoming.headers });
      answer(incoming, outgoing);
    }).listen(0, "127.0.0.1");
    await once(upstream, "listening");
    wrangler = await startWrangler({
      configFile: path.join(folder, "wrangler.toml"),
      upstreamUrl: `http://127.0.0.1:${(upstream.address() as AddressInfo).port}`,
      pluginFile: path.join(repository, "plugin/index.js"),
      vars: { EXTRA: "more" },
      onServing: (url) => served.push(url),
      onProblem: (message) => problems.push(message),
    });
  });
  afterAll(() => {
    upstream.closeAllConnections();
    upstream.close();
    rmSync(folder, { recursive: true });
  });

  test("the genuine class asks our service, and the variables are there", async () => {
    const seen = { answer: { vectors: 1 }, binding: "Ai", greeting: "hello", extra: "more", word: "first" };
    expect(await word()).toEqual(seen);
    expect(asked).toMatchObject([
      {
        line: "POST /run?version=3",
        headers: { host: "workers-binding.ai", "content-type": "application/json", "cf-consn-model-id": "m" },
      },
    ]);
  });

  test("a change is served, at an address that is told", async () => {
    const file = path.join(folder, "worker.js");
    writeFileSync(file, readFileSync(file, "utf8").replace('"first"', '"second"'));
    await until("it is told", () => served.length === 2);
    expect(await word()).toMatchObject({ word: "second" });
  });

  test("a change that cannot be built is told, and what served goes on", async () => {
    writeFileSync(path.join(folder, "worker.js"), "export default {");
    await until("it is told", () => problems.length > 0);
    expect(await word()).toMatchObject({ word: "second" });
    writeFileSync(path.join(folder, "worker.js"), WORKER);
    await until("it is served again", async () => (await word().catch(() => ({ word: "" })))["word"] === "first");
  });

  test.each<[string, RequestListener]>([
    ["before it begins", (_, outgoing) => void outgoing.destroy()],
    ["in the middle", (_, outgoing) => cut(outgoing, { "content-length": 1_000 })],
    ["in the middle, where nothing tells its length", (_, outgoing) => cut(outgoing, {})],
  ])("an answer of the service that is cut %s is an error, never a short answer (M05)", async (_where, listener) => {
    answer = listener;
    expect(await word()).toMatchObject({ answer: { failed: expect.stringMatching(/connection|disconnected/i) } });
    answer = whole;
    expect(await word()).toMatchObject({ answer: { vectors: 1 } });
  });

  test("an answer of 20 MB comes whole: 100 texts of 4,096 numbers have 5 (M10)", async () => {
    answer = (_, outgoing) => {
      const row = `[${"0.12345678,".repeat(99_999)}0]`;
      const rows = Array.from({ length: 18 }, () => row).join(",");
      outgoing.writeHead(200, { "content-type": "application/json" }).end(`{"data":[${rows}],"shape":[18,100000]}`);
    };
    const { answer: got } = (await word()) as { answer: { data: number[][] } };
    expect(got.data.map((row) => row.length)).toEqual(Array.from({ length: 18 }, () => 100_000));
    answer = whole;
  });

  test("a service that is gone is an error that says so, and when it is back all is well", async () => {
    const { port } = upstream.address() as AddressInfo;
    upstream.closeAllConnections();
    await new Promise((resolve) => upstream.close(resolve));
    expect(await word()).toMatchObject({ answer: { failed: "Network connection lost.", retryable: true } });
    upstream.listen(port, "127.0.0.1");
    await once(upstream, "listening");
    expect(await word()).toMatchObject({ answer: { vectors: 1 } });
  });

  test("nothing listens when it is over", async () => {
    await wrangler.dispose();
    await expect(word()).rejects.toThrow("fetch failed");
  });
});
