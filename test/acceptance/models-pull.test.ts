import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, afterEach, beforeEach, describe, expect, test } from "vitest";
import { HUB_COMMIT, startHub, type HubServer } from "../doubles/hub-server.ts";
import { startRealHost } from "../doubles/real-host.ts";

const WEIGHTS = "model.safetensors";
const cli = path.join(import.meta.dirname, "../../runtime/cli.ts");
const source = path.join(import.meta.dirname, "../models/bert-cls");
const weightsBytes = statSync(path.join(source, WEIGHTS)).size;
const parent = mkdtempSync(path.join(os.tmpdir(), "embedge-pull-"));
afterAll(() => rmSync(parent, { recursive: true, force: true }));

let hub: HubServer;
let modelsDir = "";
beforeEach(async () => {
  modelsDir = mkdtempSync(path.join(parent, "models-"));
  hub = await startHub(source, {
    "README.md": "# not read",
    "pytorch_model.bin": "never read",
    "onnx/config.json": "{}",
    "manifest.json": "{}",
    "../outside.json": "{}",
    ".hidden.json": "{}",
  });
});
afterEach(() => hub[Symbol.asyncDispose]());

interface Outcome {
  readonly exitCode: number | null;
  readonly output: string;
}

/** `embedge models …` against the stand-in; `prefix` is shell that runs before it. */
function start(words: readonly string[], prefix = ""): { child: ChildProcess; ended: Promise<Outcome> } {
  const script = `${prefix} exec "$0" "$@"`;
  const child = spawn("sh", ["-c", script, process.execPath, cli, "models", ...words, "--models-dir", modelsDir], {
    env: { PATH: process.env["PATH"], HF_ENDPOINT: hub.url, HF_HOME: path.join(parent, "hf"), HF_TOKEN: "hf_secret" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (output += String(chunk)));
  const ended = once(child, "close").then(([code]) => ({ exitCode: code as number | null, output }));
  return { child, ended };
}

function models(words: readonly string[], prefix?: string): Promise<Outcome> {
  return start(words, prefix).ended;
}

const folder = (name = "test/model"): string => path.join(modelsDir, name);

function filesIn(at: string): readonly string[] {
  return readdirSync(at, { recursive: true, encoding: "utf8" })
    .filter((name) => statSync(path.join(at, name)).isFile())
    .toSorted();
}

/** Where each request for the weights began. */
const weightRanges = (): readonly number[] =>
  hub.requests.filter(({ file }) => file === WEIGHTS).map(({ rangeStart }) => rangeStart);

describe("embedge models pull", () => {
  test("brings what a worker reads and nothing else, with a manifest, and the host serves it by that name", async () => {
    expect(await models(["pull", "test/model"])).toMatchObject({ exitCode: 0 });
    const wanted = filesIn(source).filter((name) => /\.(json|safetensors|txt)$/.test(name));
    expect(filesIn(folder())).toEqual([...wanted, "manifest.json"].toSorted());
    expect(filesIn(modelsDir).filter((name) => !name.startsWith("test/model/"))).toEqual([]);
    expect(JSON.parse(readFileSync(path.join(folder(), "manifest.json"), "utf8"))).toMatchObject({
      repository: "test/model",
      revision: HUB_COMMIT,
      files: { [WEIGHTS]: { bytes: weightsBytes } },
    });
    const config = { models: { default: "test/model", dir: modelsDir }, pool: { workers: 1 } };
    await using host = await startRealHost({ config });
    expect((await host.embed(["hello"])).model).toBe("test/model");
    expect(host.models()[0]?.info?.revision).toBe(HUB_COMMIT);
  });

  test("list shows it, verify finds it whole, and a second pull fetches no file", async () => {
    await models(["pull", "test/model"]);
    const before = hub.requests.length;
    expect((await models(["pull", "test/model"])).output).toContain("already");
    expect(hub.requests).toHaveLength(before);
    expect((await models(["list"])).output).toMatch(/^test\/model +here; .* revision 0123456789ab of test\/model$/m);
    expect(await models(["verify"])).toEqual({ exitCode: 0, output: "test/model: every file is as it was pulled\n" });
    expect(await models(["rm", "test/model"])).toEqual({ exitCode: 0, output: "test/model: removed\n" });
    expect(readdirSync(modelsDir)).toEqual([]);
  });

  test("a revision is part of the name", async () => {
    expect(await models(["pull", "test/model@v1"])).toMatchObject({ exitCode: 0 });
    expect(existsSync(path.join(folder("test/model@v1"), "manifest.json"))).toBe(true);
  });

  test("the token goes to the hub, and not to where the hub sends on", async () => {
    await models(["pull", "test/model"]);
    const of = (name: string): (string | undefined)[] =>
      hub.requests.filter(({ file }) => file === name).map(({ authorization }) => authorization);
    expect(of("config.json")).toEqual(["Bearer hf_secret"]);
    expect(of(WEIGHTS)).toEqual([undefined]);
  });

  test("a connection that is cut twice goes on where it was", async () => {
    hub.faults.cuts = { [WEIGHTS]: 2 };
    expect(await models(["pull", "test/model"])).toMatchObject({ exitCode: 0 });
    const ranges = weightRanges();
    expect(ranges).toHaveLength(3);
    expect(ranges[0]).toBe(0);
    expect(ranges[1]).toBeGreaterThan(0);
    expect(ranges[2]).toBeGreaterThan(ranges[1] ?? 0);
    expect(await models(["verify"])).toMatchObject({ exitCode: 0 });
  });

  test("what arrived before it was stopped is kept, and there is no half model meanwhile", async () => {
    hub.faults.stalls = [WEIGHTS];
    const { child, ended } = start(["pull", "test/model"]);
    await hub.stalled;
    // The half is in the sockets; the file has it a moment later.
    const partial = path.join(modelsDir, "test/.model.partial");
    const arrived = (): number =>
      Math.max(
        0,
        ...filesIn(partial)
          .filter((name) => name.startsWith(WEIGHTS))
          .map((name) => statSync(path.join(partial, name)).size),
      );
    await expect.poll(arrived, { timeout: 10_000 }).toBeGreaterThan(0);
    child.kill("SIGTERM");
    const { exitCode, output } = await ended;
    expect([exitCode, output]).toEqual([130, expect.stringContaining("goes on from there")]);
    expect(existsSync(folder())).toBe(false);
    hub.faults.stalls = [];
    expect(await models(["pull", "test/model"])).toMatchObject({ exitCode: 0 });
    expect(weightRanges().at(-1)).toBeGreaterThan(0);
    expect(await models(["verify"])).toMatchObject({ exitCode: 0 });
  });

  test("a second pull of the same model is refused while one is at work", async () => {
    hub.faults.stalls = [WEIGHTS];
    const { child, ended } = start(["pull", "test/model"]);
    await hub.stalled;
    const second = await models(["pull", "test/model"]);
    expect([second.exitCode, second.output]).toEqual([75, expect.stringContaining("Another pull of model is at work")]);
    child.kill("SIGTERM");
    await ended;
  });

  test.each([WEIGHTS, "config.json"])(
    "%s with another content is thrown away: 65; the next pull gets it",
    async (name) => {
      hub.faults.spoilt = [name];
      const { exitCode, output } = await models(["pull", "test/model"]);
      expect([exitCode, output]).toEqual([65, expect.stringContaining(`${name} arrived with another hash`)]);
      expect(existsSync(folder())).toBe(false);
      hub.faults.spoilt = [];
      expect(await models(["pull", "test/model"])).toMatchObject({ exitCode: 0 });
    },
  );

  test.each([
    ["test/nothing", 66, "has no model test/nothing, or it is private"],
    ["test/private", 66, "has no model test/private, or it is private"],
    ["test/gated", 77, "asks for consent to its terms"],
    ["test/model@nowhere", 66, "has no revision nowhere"],
    ["test/broken", 69, "answered with status 503"],
  ])("%s is refused with %i and one sentence", async (name, code, sentence) => {
    const { exitCode, output } = await models(["pull", name]);
    expect([exitCode, output]).toEqual([code, expect.stringContaining(sentence)]);
    expect(output).not.toMatch(/Traceback|hf_secret/);
    expect(existsSync(folder(name))).toBe(false);
  });

  test("a hub that does not answer is 69", async () => {
    await hub[Symbol.asyncDispose]();
    const { exitCode, output } = await models(["pull", "test/model"]);
    expect([exitCode, output]).toEqual([69, expect.stringContaining("cannot be reached")]);
  });

  test("more than the disk has room for is refused with the numbers, before a file is fetched: 73", async () => {
    hub.faults.sizes = { [WEIGHTS]: 1e15 };
    const { exitCode, output } = await models(["pull", "test/model"]);
    expect([exitCode, output]).toEqual([73, expect.stringMatching(/1,000,000,\d{3}\.\d MB are needed and .* MB free/)]);
    expect(hub.requests).toEqual([]);
  });

  test("a disk that fills up while a file arrives is 73; with room the pull goes on", async () => {
    // Files of half the weights at most: like a full disk, a write fails.
    const blocks = Math.floor(weightsBytes / 2 / 512);
    const { exitCode, output } = await models(["pull", "test/model"], `ulimit -f ${blocks};`);
    expect([exitCode, output]).toEqual([73, expect.stringContaining("The disk is full")]);
    expect(existsSync(folder())).toBe(false);
    expect(await models(["pull", "test/model"])).toMatchObject({ exitCode: 0 });
    expect(await models(["verify"])).toMatchObject({ exitCode: 0 });
  });
});
