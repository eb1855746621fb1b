import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { postJson } from "../doubles/memory-app.ts";
import { npm, packageEnv as env, packInto, root, userEnv } from "../doubles/packed-package.ts";
import { until, withTimeout } from "../doubles/wait.ts";

/**
 * The package as its users meet it: packed, installed into an empty project outside the repository, and used from there.
 *
 * The Python side is the one that `npm test` has set up, but for the test of the first use.
 */
const temporary = mkdtempSync(path.join(os.tmpdir(), "embedge-package-"));
/** With a space and a letter outside ASCII (C20). */
const project = path.join(temporary, "a prøject");
const TIMEOUT_MS = 120_000;
/** The oldest Node that is promised. */
const OLDEST_NODE = "22.18.0";

const run = promisify(execFile);
const cli = path.join(project, "node_modules/embedge/dist/runtime/cli.js");
/** What `npx embedge` runs. */
const command = path.join(project, "node_modules/.bin/embedge");
let tarball = "";

beforeAll(async () => {
  tarball = await packInto(temporary);
  mkdirSync(project);
  await npm(project, ["install", tarball]);
  // As `npm install --save-dev wrangler` leaves it.
  symlinkSync(path.join(root, "node_modules/wrangler"), path.join(project, "node_modules/wrangler"));
}, TIMEOUT_MS);
afterAll(() => rmSync(temporary, { recursive: true, force: true }));

/** Node versions to run the package with. The oldest one comes from the registry, on Linux alone. */
const nodes: Readonly<Record<string, () => Promise<string>>> = {
  [`Node ${process.versions.node}`]: async () => process.execPath,
  ...(process.platform === "linux" && {
    [`Node ${OLDEST_NODE}`]: async () => {
      const name = `node-linux-${process.arch}`;
      const folder = path.join(temporary, "node22");
      const binary = path.join(folder, "node_modules", name, "bin/node");
      if (!existsSync(binary)) {
        mkdirSync(folder, { recursive: true });
        await npm(folder, ["install", "--prefix", ".", `${name}@${OLDEST_NODE}`]);
      }
      return binary;
    },
  }),
};

describe("the tarball", () => {
  test("holds what runs and what the set-up reads, and no tests", async () => {
    const { stdout } = await run("tar", ["-tzf", tarball]);
    const files = stdout.trim().split("\n");
    for (const wanted of [
      "dist/runtime/embedge.d.ts",
      "dist/functions/v1/embeddings.js",
      "python/embed_worker/__main__.py",
      "python/embed_worker/golden/all-MiniLM-L6-v2.json",
      "python/requirements.lock",
      "setup/set-up.mjs",
      "LICENSE",
      "THIRD_PARTY_NOTICES.md",
    ]) {
      expect(files).toContain(`package/${wanted}`);
    }
    expect(files.filter((file) => /tests|\.test\.|__pycache__|\.embedge|node_modules/.test(file))).toEqual([]);
  });

  test("is clean for publint and arethetypeswrong", { timeout: TIMEOUT_MS }, async () => {
    const bin = path.join(root, "node_modules/.bin");
    await run(path.join(bin, "publint"), [tarball, "--strict"]);
    await run(path.join(bin, "attw"), [tarball, "--profile", "esm-only"]);
  });
});

describe("embedge init", () => {
  test("writes a project whose functions compile against the package's types", { timeout: TIMEOUT_MS }, async () => {
    const { stdout } = await run(command, ["init"], { cwd: project, env });
    expect(stdout).toMatch(/^wrote {2}functions\/api\/v1\/embed\.ts$/m);
    expect(stdout).toContain("Now: npx embedge serve\n");
    writeFileSync(path.join(project, "host.mts"), HOST_TS);
    const flags = [
      "--strict",
      "--noEmit",
      "--module",
      "nodenext",
      "--target",
      "es2024",
      "--isolatedDeclarations",
      "false",
    ];
    const types = ["--typeRoots", path.join(root, "node_modules/@types"), "--types", "node", "--skipLibCheck"];
    const sources = ["host.mts", "functions/api/v1/embed.ts", "functions/v1/embeddings.ts"];
    const tsc = path.join(root, "node_modules/typescript/bin/tsc");
    await run(process.execPath, [tsc, ...flags, ...types, "--lib", "es2024,esnext.disposable,dom", ...sources], {
      cwd: project,
    });
  });

  test("its wrangler.toml makes a Worker of the functions, offline", { timeout: TIMEOUT_MS }, async () => {
    const wrangler = path.join(root, "node_modules/wrangler/bin/wrangler.js");
    const out = path.join(temporary, "upload");
    await run(process.execPath, [wrangler, "deploy", "--dry-run", "--outdir", out], {
      cwd: project,
      env: { ...env, CLOUDFLARE_CF_FETCH_ENABLED: "false", WRANGLER_SEND_METRICS: "false" },
    });
    expect(readdirSync(out)).toContain("worker.js");
  });

  test("keeps what is there", async () => {
    const { stdout } = await run(command, ["init"], { cwd: project, env });
    expect(stdout).not.toContain("wrote");
    expect(stdout).toContain("kept   embedge.toml, which was there");
  });
});

describe.each(Object.entries(nodes))("under %s", (_name, install) => {
  let node = "";
  beforeAll(async () => {
    node = await install();
  }, TIMEOUT_MS);

  test("`embedge serve` answers with a real vector and ends with 0 on SIGTERM", { timeout: TIMEOUT_MS }, async () => {
    const served = serve(node, project);
    await expectVector(await served.url());
    expect(await served.stop()).toBe(0);
  });

  test.each(["dev", "dev --miniflare"])(
    "`embedge %s` does so too, sees a new function, and leaves no process",
    { timeout: TIMEOUT_MS },
    async (line) => {
      const added = path.join(project, "functions/added.ts");
      const dev = serve(node, project, line.split(" "));
      const url = await dev.url();
      await expectVector(url);
      writeFileSync(added, "export default { fetch: () => new Response('new') };\n");
      await until("it is there", async () => (await fetch(`${url}/added`)).status === 200, 20_000);
      expect(await dev.stop()).toBe(0);
      rmSync(added);
      expect((await run("ps", ["-axww", "-o", "args="])).stdout).not.toContain(temporary);
    },
  );

  test(
    '`import { createHost } from "embedge"` embeds, and its process ends by itself',
    { timeout: TIMEOUT_MS },
    async () => {
      writeFileSync(path.join(project, "use.mjs"), USE_MJS);
      const { stdout } = await run(node, ["use.mjs"], { cwd: project, env, timeout: 60_000 });
      expect(JSON.parse(stdout)).toEqual({ dimensions: 384, first: "-0.063", status: 200 });
    },
  );
});

test("a folder without functions is served by those of the package", { timeout: TIMEOUT_MS }, async () => {
  const empty = path.join(temporary, "empty");
  mkdirSync(empty);
  const served = serve(process.execPath, empty);
  const response = await fetch(`${await served.url()}/v1/embeddings`, postJson({ input: "hello" }));
  expect(await response.json()).toMatchObject({ data: [{ object: "embedding" }], model: "all-MiniLM-L6-v2" });
  expect(served.said()).toContain("no folder `functions`");
  expect(await served.stop()).toBe(0);
});

test(
  "the first use sets the Python side up in the user's cache, with progress, and the next finds it",
  { timeout: 300_000 },
  async () => {
    const cache = path.join(temporary, "cache");
    // On macOS the folder cannot be moved without moving the home itself, and with it pip's settings.
    const place =
      process.platform === "linux"
        ? { XDG_CACHE_HOME: cache, PIP_CACHE_DIR: pipCache() }
        : { EMBEDGE_HOME: path.join(cache, "embedge/own") };
    const firstUse = { ...userEnv, ...place };
    const first = await run(process.execPath, [cli, "setup"], { cwd: project, env: firstUse });
    expect(first.stderr).toMatch(/^Setting up embedge: Python environment, .*Python packages/m);
    expect(first.stderr).toMatch(/^ {2}\[\d\/\d\] Python environment: done in/m);
    const [home = ""] = readdirSync(path.join(cache, "embedge"));
    expect(first.stdout).toBe(`Everything is in place: ${path.join(cache, "embedge", home)}\n`);
    expect(readdirSync(path.join(cache, "embedge", process.platform === "linux" ? "." : home))).toContain("models");
    expect((await run(process.execPath, [cli, "setup"], { cwd: project, env: firstUse })).stderr).toBe("");
    const use = await run(process.execPath, ["use.mjs"], { cwd: project, env: firstUse, timeout: 60_000 });
    expect(JSON.parse(use.stdout)).toMatchObject({ dimensions: 384 });
  },
);

test("variables need no wrangler, bindings do: where it is missing, one sentence says what to install", async () => {
  const cwd = path.join(project, "bound");
  mkdirSync(path.join(cwd, "functions"), { recursive: true });
  const ambient = 'import { env } from "cloudflare:workers";\n';
  writeFileSync(
    path.join(cwd, "functions/word.mjs"),
    `${ambient}const atTheTop = env.WORD;\nexport default { fetch: (request, { WORD }) => Response.json([atTheTop, env.WORD, WORD]) };\n`,
  );
  writeFileSync(path.join(cwd, "wrangler.toml"), '[vars]\nWORD = "top"\n');
  writeFileSync(path.join(cwd, ".dev.vars"), "WORD=secret\n");
  const served = serve(process.execPath, cwd);
  expect(await (await fetch(`${await served.url()}/word`)).json()).toEqual(["secret", "secret", "secret"]);
  expect(await served.stop()).toBe(0);
  rmSync(path.join(project, "node_modules/wrangler"));
  const file = path.join(cwd, "wrangler.toml");
  writeFileSync(file, '[[kv_namespaces]]\nbinding = "KV"\nid = "kv"\n');
  await expect(run(process.execPath, [cli, "serve", "--port", "0"], { cwd, env })).rejects.toMatchObject({
    code: 78,
    stderr: `${file} declares bindings (KV), which need wrangler: npm install --save-dev wrangler@4.155.0\n`,
  });
});

/** Where pip keeps what it has downloaded: the wheels are fetched once, not at every run of this test. */
function pipCache(): string {
  const { PIP_CACHE_DIR: own, XDG_CACHE_HOME: cache } = process.env;
  return own ?? path.join(cache ?? path.join(os.homedir(), ".cache"), "pip");
}

interface Served {
  said(): string;
  /** The address, once a worker can serve. */
  url(): Promise<string>;
  stop(): Promise<number | null>;
}

async function expectVector(url: string): Promise<void> {
  const response = await fetch(`${url}/api/v1/embed`, postJson({ texts: ["hello"] }));
  const { dimension, embeddings } = (await response.json()) as { dimension: number; embeddings: number[][] };
  expect([response.status, dimension, embeddings[0]?.[0]?.toFixed(3)]).toEqual([200, 384, "-0.063"]);
}

function serve(node: string, cwd: string, words: readonly string[] = ["serve"]): Served {
  const child = spawn(node, [cli, ...words, "--port", "0"], { cwd, env, stdio: ["ignore", "pipe", "ignore"] });
  let text = "";
  const ready = new Promise<string>((resolve, reject) => {
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
      const url = /ready on (http:\S+)/.exec(text)?.[1];
      if (url !== undefined) resolve(url);
    });
    child.once("exit", (code) => reject(new Error(`embedge ${words.join(" ")} ended with ${code}:\n${text}`)));
  });
  return {
    said: () => text,
    url: () => withTimeout(ready, "embedge to be ready", 60_000),
    async stop() {
      child.kill("SIGTERM");
      const [code] = (await withTimeout(once(child, "exit"), "embedge to end", 30_000)) as [number | null];
      return code;
    },
  };
}

const USE_MJS = `
import { createHost } from "embedge";

const host = await createHost({ log: { level: "error" }, configFile: "embedge.toml" });
const { vectors } = await host.embed(["hello"]);
const request = new Request("http://app.example/api/v1/embed", { method: "POST", body: '{"texts":["hello"]}' });
const { status } = await host.fetch(request);
await host.close();
process.stdout.write(JSON.stringify({ dimensions: vectors.dimensions, first: vectors.data[0]?.toFixed(3), status }));
`;

const HOST_TS = `
import { createServer } from "node:http";
import { AppError, createHost, type Host, type Settings } from "embedge";

const settings: Settings = { server: { port: 0 }, models: { aliases: { small: "default" } } };
await using host: Host = await createHost(settings);
createServer(host.nodeListener);
const answer: Response = await host.at("/embed").fetch(new Request("http://localhost/embed/readyz"));
const { vectors } = await host.embed(["text"], { pooling: "cls", timeoutMs: 1_000 });
const data: Float32Array = vectors.data;
export const code = (error: unknown): string | undefined => (error instanceof AppError ? error.code : undefined);
export { answer, data };
// @ts-expect-error -- a wrong setting is an error here already
await createHost({ server: { port: "80" } });
`;
