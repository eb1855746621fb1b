import { execFile } from "node:child_process";
import { once } from "node:events";
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import os from "node:os";
import path from "node:path";
import { afterAll, expect, test } from "vitest";
import { project, QUIET, repository } from "../doubles/functions-homes.ts";

/** What a clone has of this, with the packages installed and nothing built. */
const CLONED = ["embedge.toml", "functions", "package.json", "plugin", "runtime", "tsconfig.json", "wrangler.toml"];

const clone = mkdtempSync(path.join(os.tmpdir(), "embedge-deploy-"));
for (const name of CLONED) cpSync(path.join(repository, name), path.join(clone, name), { recursive: true });
symlinkSync(path.join(repository, "node_modules"), path.join(clone, "node_modules"));
afterAll(() => rmSync(clone, { recursive: true }));

interface Outcome {
  readonly exitCode: number;
  readonly output: string;
}

function wrangler(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  cwd: string = clone,
): Promise<Outcome> {
  const bin = path.join(repository, "node_modules/wrangler/bin/wrangler.js");
  const options = { cwd, env: { PATH: process.env["PATH"], HOME: clone, ...QUIET, ...env } };
  return new Promise((resolve) => {
    execFile(process.execPath, [bin, ...args], options, (error, stdout, stderr) => {
      resolve({ exitCode: error === null ? 0 : Number(error.code), output: stdout + stderr });
    });
  });
}

test("a clone deploys, dry: the entry is made, and it is one bundle", async () => {
  const { exitCode, output } = await wrangler(["deploy", "--dry-run", "--outdir", "bundle"]);
  expect({ exitCode, output }).toMatchObject({ exitCode: 0 });
  expect(output).toContain("env.AI");
  expect(existsSync(path.join(clone, ".embedge/worker.ts"))).toBe(true);
  const bundle = readFileSync(path.join(clone, "bundle/worker.js"), "utf8");
  expect(bundle).toContain("/api/v1/embed");
  expect(bundle).not.toMatch(/from\s*"node:|require\("node:/);
});

test("a project with KV, queues and crons deploys, dry, from the same files", async () => {
  const bundle = path.join(clone, "contract");
  const { exitCode, output } = await wrangler(["deploy", "--dry-run", "--env=", "--outdir", bundle], {}, project);
  expect({ exitCode, output }).toMatchObject({ exitCode: 0 });
  for (const name of ["env.AI", "env.KV", "env.JOBS"]) expect(output).toContain(name);
  expect(readFileSync(path.join(bundle, "worker.js"), "utf8")).toContain("contract-jobs");
});

test("what is uploaded is `[ai]` alone: nothing of this machine", async () => {
  const uploads: string[] = [];
  const api = createServer((request, response) => void answer(request, response, uploads)).listen(0, "127.0.0.1");
  await once(api, "listening");
  const { port } = api.address() as AddressInfo;
  const { exitCode, output } = await wrangler(["deploy", "--env="], {
    CLOUDFLARE_API_BASE_URL: `http://127.0.0.1:${port}`,
    CLOUDFLARE_API_TOKEN: "none",
    CLOUDFLARE_ACCOUNT_ID: "account",
  });
  api.close();
  expect({ exitCode, output }).toMatchObject({ exitCode: 0 });
  const [upload = ""] = uploads;
  const metadata = /name="metadata"[^{]*(\{.*\})/.exec(upload)?.[1] ?? "{}";
  expect((JSON.parse(metadata) as { bindings: unknown }).bindings).toEqual([{ name: "AI", type: "ai" }]);
  expect(uploads).toHaveLength(1);
});

/** Cloudflare's API, as far as a first deployment asks; by the end of the path. */
const results: Readonly<Record<string, unknown>> = {
  "/workers/scripts/embedge": { id: "embedge", startup_time_ms: 1 },
  "/workers/scripts/embedge/secrets": [],
  "/workers/scripts/embedge/subdomain": { enabled: true, previews_enabled: false },
  "/workers/subdomain": { subdomain: "somebody" },
  "/workers/workers/embedge": { id: "embedge", subdomain: { enabled: true, previews_enabled: false } },
};

async function answer(request: IncomingMessage, response: ServerResponse, uploads: string[]): Promise<void> {
  const body = Buffer.concat(await request.toArray()).toString();
  const { pathname } = new URL(`http://api${request.url ?? ""}`);
  const end = pathname.replace("/accounts/account", "");
  if (request.method === "PUT" && end === "/workers/scripts/embedge") uploads.push(body);
  const result = results[end];
  const answered = {
    success: result !== undefined,
    result,
    errors: result === undefined ? [NOT_THERE] : [],
    messages: [],
  };
  response.writeHead(answered.success ? 200 : 404, { "content-type": "application/json" });
  response.end(JSON.stringify(answered));
}

const NOT_THERE = { code: 10_090, message: "not there" };
