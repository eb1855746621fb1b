import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import os from "node:os";
import path from "node:path";
import { afterAll, expect, test } from "vitest";
import { checkDisk, checkMachine, checkModel, checkNode, checkPort } from "../../runtime/cli/checks.ts";
import { exitCodeOf } from "../../runtime/cli/doctor.ts";
import { configSchema } from "../../runtime/config/schema.ts";

const parent = mkdtempSync(path.join(os.tmpdir(), "embedge-doctor-"));
afterAll(() => rmSync(parent, { recursive: true, force: true }));

/** A models folder with one model; `weights` stand in its file, `pinned` in its manifest. */
function modelsWith(weights: string, pinned: string): string {
  const dir = mkdtempSync(path.join(parent, "models-"));
  const folder = path.join(dir, "small");
  mkdirSync(folder);
  const header = JSON.stringify({ __metadata__: { text: weights } });
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  writeFileSync(path.join(folder, "model.safetensors"), Buffer.concat([length, Buffer.from(header)]));
  const files: Record<string, { sha256: string }> = {};
  for (const name of ["config.json", "tokenizer.json"]) {
    writeFileSync(path.join(folder, name), name === "config.json" ? weights : "{}");
    const content = name === "config.json" ? pinned : "{}";
    files[name] = { sha256: createHash("sha256").update(content).digest("hex") };
  }
  writeFileSync(path.join(folder, "manifest.json"), JSON.stringify({ revision: "1", files }));
  return dir;
}

/** A server that is not embedge, or says that it is. */
async function listen(status: string): Promise<{ readonly port: number; [Symbol.asyncDispose](): Promise<void> }> {
  const server = createServer((_request, response) => response.end(JSON.stringify({ status }))).listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      server.close();
      await once(server, "close");
    },
  };
}

test.each([
  ["20.19.0", "fail"],
  ["22.17.9", "fail"],
  ["22.18.0", "ok"],
  ["24.1.0", "ok"],
])("Node %s: %s", (version, state) => {
  expect(checkNode(version).state).toBe(state);
});

test("a model whose files are as pinned is well, one with another file is not: 65 (C08)", async () => {
  const settings = (dir: string) => configSchema.parse({ models: { default: "small", dir } });
  expect(await checkModel(settings(modelsWith("{}", "{}")))).toMatchObject({ state: "ok" });
  const finding = await checkModel(settings(modelsWith("{}", '{"a":1}')));
  expect(finding).toMatchObject({ state: "fail", text: expect.stringContaining("config.json is another file") });
  expect(exitCodeOf([finding])).toBe(65);
});

test("a model that is not here fails: 66", async () => {
  const dir = mkdtempSync(path.join(parent, "none-"));
  const finding = await checkModel(configSchema.parse({ models: { default: "absent", dir } }));
  expect([finding.state, exitCodeOf([finding])]).toEqual(["fail", 66]);
});

test("a port that another program has fails: 69, and one on which embedge answers is well", async () => {
  const check = (port: number) => checkPort(configSchema.parse({ server: { port } }));
  await using stranger = await listen("something else");
  const busy = await check(stranger.port);
  expect(busy).toMatchObject({ state: "fail", text: `127.0.0.1:${stranger.port} is in use`, exitCode: 69 });
  await using embedge = await listen("ok");
  expect(await check(embedge.port)).toMatchObject({ state: "ok" });
  expect(await check(0)).toMatchObject({ state: "ok" });
});

test("an address that is not of this machine fails", async () => {
  const finding = await checkPort(configSchema.parse({ server: { host: "192.0.2.1", port: 0 } }));
  expect(finding).toMatchObject({ state: "fail", text: "192.0.2.1:0 cannot be opened (EADDRNOTAVAIL)" });
});

test("more workers than cores are warned of", () => {
  const [cores] = checkMachine(configSchema.parse({ pool: { device: "cpu", workers: 64, permits: 64 } }));
  expect(cores).toMatchObject({ name: "cores", state: os.availableParallelism() < 64 ? "warn" : "ok" });
});

test("the disk is that of the folder, or of the package where it is not there yet", () => {
  expect(checkDisk(parent).text).toContain(parent);
  expect(checkDisk(path.join(parent, "nowhere")).text).not.toContain("nowhere");
});

test("the exit code is that of the first failure; a warning is none", () => {
  const finding = { name: "x", text: "" } as const;
  expect(
    exitCodeOf([
      { ...finding, state: "ok" },
      { ...finding, state: "warn", exitCode: 69 },
    ]),
  ).toBe(0);
  const failed = { ...finding, state: "fail" } as const;
  expect(
    exitCodeOf([
      { ...failed, exitCode: 78 },
      { ...failed, exitCode: 69 },
    ]),
  ).toBe(78);
});
