import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeEach, expect, test } from "vitest";
import { findModelFolder, listInstalled } from "../../runtime/config/model-folder.ts";
import { ConfigError } from "../../runtime/config/problems.ts";

const parent = mkdtempSync(path.join(os.tmpdir(), "embedge-models-"));
let models = parent;
beforeEach(() => {
  models = mkdtempSync(path.join(parent, "models-"));
});
afterAll(() => rmSync(parent, { recursive: true, force: true }));

/** A whole model folder, as far as the check goes: 16 bytes of weights. */
function writeModel(name: string): string {
  const folder = path.join(models, name);
  mkdirSync(folder, { recursive: true });
  for (const file of ["config.json", "tokenizer.json"]) writeFileSync(path.join(folder, file), "{}");
  writeFileSync(path.join(folder, "model.safetensors"), safetensors(16));
  return folder;
}

function safetensors(weightBytes: number): Buffer {
  const header = Buffer.from(
    JSON.stringify({ w: { dtype: "F32", shape: [weightBytes / 4], data_offsets: [0, weightBytes] } }),
  );
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([length, header, Buffer.alloc(weightBytes)]);
}

function problemOf(model: string): ConfigError {
  try {
    findModelFolder(model, models);
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
  throw new Error("it was accepted");
}

test("a name is a folder among the installed models", () => {
  const folder = writeModel("small");
  expect(findModelFolder("small", models)).toEqual({ name: "small", aliases: [], folder });
});

test("a path is a folder anywhere, and its last part is the model's name", () => {
  const folder = writeModel("elsewhere/mine");
  expect(findModelFolder(folder, models)).toEqual({ name: "mine", aliases: [], folder });
});

test("a name of the catalogue, of the platform or of the hub finds what was pulled, and answers to all of them", () => {
  const folder = writeModel("bge-m3");
  const found = { name: "bge-m3", aliases: ["@cf/baai/bge-m3", "BAAI/bge-m3"], folder };
  for (const name of ["bge-m3", "@cf/baai/bge-m3", "BAAI/bge-m3"]) expect(findModelFolder(name, models)).toEqual(found);
});

test.each(["owner/model", "owner/model@v1.0"])("a hub id is its own name: %s", (id) => {
  const folder = writeModel(id);
  expect(findModelFolder(id, models)).toEqual({ name: id, aliases: [], folder });
});

test.each([
  ["qwen3-0.6b-4bit", "qwen3-0.6b-4bit"],
  ["@cf/baai/bge-m3", "bge-m3"],
  ["owner/model@v1", "owner/model@v1"],
])("%s is known but not pulled: 66, and the command that gets it (C08)", (model, name) => {
  const { exitCode, message } = problemOf(model);
  expect([exitCode, message]).toEqual([66, `model ${model}: not here yet; get it: embedge models pull ${name}`]);
});

test("of the folders in the models' folder those of a hub's owner are seen, and unfinished pulls are not", () => {
  for (const name of ["small", "owner/one", "owner/two@v1", ".half.partial"]) writeModel(name);
  expect(listInstalled(models).toSorted()).toEqual(["owner/one", "owner/two@v1", "small"]);
});

test("an unknown name lists the installed models: 66 (C08)", () => {
  writeModel("small");
  const { exitCode, message } = problemOf("smal");
  expect(exitCode).toBe(66);
  expect(message).toContain("(small)");
});

test.each(["config.json", "tokenizer.json", "model.safetensors"])(
  "a folder without %s is named with it: 66 (C08)",
  (file) => {
    rmSync(path.join(writeModel("small"), file));
    const { exitCode, message } = problemOf("small");
    expect([exitCode, message]).toEqual([66, expect.stringContaining(`small/${file}: missing`)]);
  },
);

test("weights that were copied in part are named with both lengths: 66 (C08)", () => {
  const file = path.join(writeModel("small"), "model.safetensors");
  const whole = safetensors(16).length;
  truncateSync(file, whole - 1);
  expect(problemOf("small").message).toBe(`${file}: ${whole - 1} bytes of ${whole}; copy it again.`);
});

test.each([0, 7, 20])("weights cut within the header, at %i bytes, are refused", (bytes) => {
  truncateSync(path.join(writeModel("small"), "model.safetensors"), bytes);
  expect(problemOf("small").message).toContain("not a safetensors file");
});

test("a shard that the index names must be there", () => {
  const index = path.join(writeModel("small"), "model.safetensors.index.json");
  writeFileSync(index, JSON.stringify({ weight_map: { a: "model.safetensors", b: "model-00002.safetensors" } }));
  expect(problemOf("small").problems).toEqual([expect.stringContaining("model-00002.safetensors: missing")]);
});

test("an index that is not JSON is named", () => {
  const index = path.join(writeModel("small"), "model.safetensors.index.json");
  writeFileSync(index, "{");
  expect(problemOf("small").message).toContain("model.safetensors.index.json");
});
