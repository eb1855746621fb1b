import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { estimateWorkerBytes, memoryBytesMaxOf } from "../../runtime/config/model-memory.ts";
import { configSchema } from "../../runtime/config/schema.ts";
import { findServedModels } from "../../runtime/config/served-models.ts";

const parent = mkdtempSync(path.join(os.tmpdir(), "embedge-served-"));
let dir = parent;
beforeEach(() => {
  dir = mkdtempSync(path.join(parent, "models-"));
});
afterAll(() => rmSync(parent, { recursive: true, force: true }));

type Tensors = Readonly<Record<string, { dtype: string; shape: readonly number[]; data_offsets: readonly number[] }>>;

const oneTensor: Tensors = { w: { dtype: "F32", shape: [4], data_offsets: [0, 16] } };

/** A whole model folder, as far as its header goes. */
function writeModel(name: string, tensors = oneTensor): string {
  const folder = path.join(dir, name);
  mkdirSync(folder, { recursive: true });
  for (const file of ["config.json", "tokenizer.json"]) writeFileSync(path.join(folder, file), "{}");
  const header = Buffer.from(JSON.stringify(tensors));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  const bytes = Math.max(...Object.values(tensors).map(({ data_offsets: [, end = 0] }) => end));
  writeFileSync(path.join(folder, "model.safetensors"), Buffer.concat([length, header, Buffer.alloc(bytes)]));
  return folder;
}

function serve(models: object): ReturnType<typeof findServedModels> {
  return findServedModels(configSchema.parse({ models: { dir, ...models } }));
}

describe("the models that calls may name", () => {
  test("are the default one and, without a setting, all that were pulled", () => {
    for (const name of ["b", "a", "owner/c"]) writeModel(name);
    const { models, problems } = serve({ default: "b" });
    expect(models.map(({ name }) => name)).toEqual(["b", "a", "owner/c"]);
    expect(problems).toEqual([]);
  });

  test("are those of the setting alone, folders too", () => {
    writeModel("a");
    writeModel("b");
    const folder = writeModel("elsewhere/mine");
    const { models } = serve({ default: "a", served: [folder] });
    expect(models.map(({ name }) => name)).toEqual(["a", "mine"]);
    expect(serve({ default: "a", served: [] }).models.map(({ name }) => name)).toEqual(["a"]);
  });

  test("answer to the names of the catalogue as well", () => {
    writeModel("a");
    writeModel("bge-m3");
    const { models } = serve({ default: "a", served: ["@cf/baai/bge-m3"] });
    expect(models[1]).toMatchObject({ name: "bge-m3", aliases: ["@cf/baai/bge-m3", "BAAI/bge-m3"] });
  });

  test("C08 one that was pulled and is not whole is left out and told; one that the settings name is an error", () => {
    writeModel("a");
    rmSync(path.join(writeModel("half"), "tokenizer.json"));
    const { models, problems } = serve({ default: "a" });
    expect(models.map(({ name }) => name)).toEqual(["a"]);
    expect(problems).toEqual([expect.stringContaining("tokenizer.json: missing")]);
    expect(() => serve({ default: "a", served: ["half"] })).toThrow(/tokenizer\.json: missing/);
    expect(() => serve({ default: "a", served: ["nowhere"] })).toThrow(/nowhere/);
  });

  test("two of the same name are an error", () => {
    writeModel("a");
    const other = writeModel("elsewhere/a");
    expect(() => serve({ default: "a", served: [other] })).toThrow(/both .* are called a; rename/);
  });
});

describe("the memory of models", () => {
  test("is assumed from the headers: on a CPU half floats and packed weights unfold, the table of the tokens does not", () => {
    const folder = writeModel("a", {
      "layers.0.weight": { dtype: "U32", shape: [1_000_000], data_offsets: [0, 4_000_000] },
      "layers.0.scales": { dtype: "BF16", shape: [1_000_000], data_offsets: [4_000_000, 6_000_000] },
      "embed_tokens.weight": { dtype: "U32", shape: [1_000_000], data_offsets: [6_000_000, 10_000_000] },
    });
    expect(estimateWorkerBytes({ folder }, "cpu")).toBe(100e6 + 1.5 * (32e6 + 4e6 + 4e6));
    expect(estimateWorkerBytes({ folder }, "gpu")).toBe(100e6 + 1.2 * 10e6);
  });

  test("is three fifths of the machine's, or what the settings say", () => {
    const automatic = memoryBytesMaxOf(configSchema.parse({}));
    expect(automatic).toBeGreaterThan(0);
    expect(automatic).toBeLessThanOrEqual(os.totalmem() * 0.6);
    expect(memoryBytesMaxOf(configSchema.parse({ models: { memoryBytesMax: 1_000 } }))).toBe(1_000);
  });
});
