import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeEach, expect, test } from "vitest";
import { findInCatalogue, listCatalogue } from "../../runtime/config/model-catalogue.ts";
import { ConfigError } from "../../runtime/config/problems.ts";
import { runModels } from "../../runtime/models-command.ts";

const parent = mkdtempSync(path.join(os.tmpdir(), "embedge-models-"));
afterAll(() => rmSync(parent, { recursive: true, force: true }));
let modelsDir = parent;
beforeEach(() => {
  modelsDir = mkdtempSync(path.join(parent, "models-"));
});

const texts = { "config.json": "{}", "tokenizer.json": '{"a":1}', "model.safetensors": "weights" };

function writeModel(name: string): string {
  const folder = path.join(modelsDir, name);
  mkdirSync(folder, { recursive: true });
  const files: Record<string, { sha256: string; bytes: number }> = {};
  for (const [file, text] of Object.entries(texts)) {
    writeFileSync(path.join(folder, file), text);
    files[file] = { sha256: createHash("sha256").update(text).digest("hex"), bytes: text.length };
  }
  const manifest = { repository: "owner/source", revision: "0123456789abcdef", files };
  writeFileSync(path.join(folder, "manifest.json"), JSON.stringify(manifest));
  return folder;
}

async function run(...words: readonly string[]): Promise<{ lines: readonly string[]; exitCode: number }> {
  const lines: string[] = [];
  try {
    await runModels({ words, modelsDir, print: (line) => void lines.push(line) });
    return { lines, exitCode: 0 };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return { lines: [...lines, ...error.problems], exitCode: error.exitCode };
  }
}

test("list names what is here with its revision, then what could be", async () => {
  writeModel("bge-m3");
  const { lines } = await run("list");
  expect(lines[0]).toMatch(/^bge-m3 +here; 1 MB, revision 0123456789ab of owner\/source$/);
  expect(lines.filter((line) => line.includes("embedge models pull"))).toHaveLength(listCatalogue().length);
  expect(await run()).toEqual({ lines, exitCode: 0 });
});

test("verify names every file that is missing, cut short or another: 65 (C08, S22)", async () => {
  writeModel("whole");
  const folder = writeModel("owner/broken");
  rmSync(path.join(folder, "config.json"));
  writeFileSync(path.join(folder, "tokenizer.json"), '{"a":2}');
  truncateSync(path.join(folder, "model.safetensors"), 3);
  const { lines, exitCode } = await run("verify");
  const again = "get it again: embedge models pull owner/broken";
  expect(exitCode).toBe(65);
  expect(lines.toSorted()).toEqual([
    `owner/broken: config.json is missing; ${again}`,
    `owner/broken: model.safetensors has 3 bytes of 7; ${again}`,
    `owner/broken: tokenizer.json is another file; ${again}`,
    "whole: every file is as it was pulled",
  ]);
});

test("a folder that nobody pulled has nothing to be compared with", async () => {
  rmSync(path.join(writeModel("mine"), "manifest.json"));
  expect(await run("verify", "mine")).toEqual({
    lines: ["mine: has no manifest, so there is nothing to compare it with"],
    exitCode: 0,
  });
});

test.each(["", "{", "{}", '{"revision":"1","files":{"a":"b"}}'])(
  "the manifest %j is broken: list goes on, verify ends with 65",
  async (text) => {
    writeFileSync(path.join(writeModel("bge-m3"), "manifest.json"), text);
    expect((await run("list")).lines[0]).toMatch(/^bge-m3 +here; with a broken manifest$/);
    expect((await run("verify")).exitCode).toBe(65);
  },
);

test("rm takes the model alone, by any of its names", async () => {
  for (const name of ["bge-m3", "owner/one", "owner/two"]) writeModel(name);
  await run("rm", "@cf/baai/bge-m3", "owner/one");
  expect(readdirSync(modelsDir)).toEqual(["owner"]);
  expect(readdirSync(path.join(modelsDir, "owner"))).toEqual(["two"]);
});

test.each([
  [["rm", "../outside"], 66],
  [["rm", "."], 66],
  [["verify", "nothing"], 66],
  [["pull", "no-such-name"], 66],
  [["pull"], 64],
  [["toString"], 64],
])("embedge models %j ends with %i and touches nothing", async (words, exitCode) => {
  writeModel("bge-m3");
  expect((await run(...words)).exitCode).toBe(exitCode);
  expect(readdirSync(modelsDir)).toEqual(["bge-m3"]);
});

test.each([
  ["owner/name", "owner/name", "main"],
  ["owner/name@v1.0", "owner/name", "v1.0"],
])("%s is a hub id", (name, repository, revision) => {
  expect(findInCatalogue(name)).toEqual({ name, repository, revision, aliases: [] });
});

test.each([
  "name",
  "../name",
  "owner/../name",
  "owner/name/more",
  "/owner/name",
  "owner/name@",
  "@cf/owner/name",
  "owner/..",
])("%s is no hub id", (name) => {
  expect(findInCatalogue(name)).toBeUndefined();
});

test("no two models of the catalogue share a name", () => {
  const names = listCatalogue().flatMap(({ name, aliases }) => [name, ...aliases]);
  expect(new Set(names).size).toBe(names.length);
});
