import { cpSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { WorkerPool } from "../../runtime/pool/worker-pool.ts";
import { maxAbsDifference } from "../doubles/golden-vectors.ts";
import { isRunning } from "../doubles/pool-recorder.ts";
import { startRealHost, type RealHost } from "../doubles/real-host.ts";
import { until } from "../doubles/wait.ts";

/** Vectors of sentence-transformers. */
interface Golden {
  readonly texts: readonly string[];
  readonly cases: { readonly default: { readonly dimensions: number; readonly vectors_base64_f32le: string } };
}

const FIRST = "bert-cls";
const SECOND = "xlm-roberta-mean";
const THIRD = "modernbert-cls";
/** As each worker is told to hold 100 MB, about what these do, and is assumed to before: two of them fit, never three. */
const WORKER_BYTES = 100e6;
const MEMORY_BYTES_MAX = 250e6;

const folderOf = (name: string): string => path.join(import.meta.dirname, "../models", name);

function vectorsOf(name: string): { readonly text: string; readonly vector: Float32Array }[] {
  const { texts, cases } = JSON.parse(readFileSync(path.join(folderOf(name), "golden.json"), "utf8")) as Golden;
  const { dimensions, vectors_base64_f32le: encoded } = cases.default;
  const bytes = Buffer.from(encoded, "base64");
  return texts.map((text, row) => {
    const start = row * dimensions;
    return { text, vector: Float32Array.from({ length: dimensions }, (_, at) => bytes.readFloatLE((start + at) * 4)) };
  });
}

/** A whole model, but for the numbers. */
function spoiltModel(parent: string): string {
  const copy = path.join(parent, "spoilt");
  cpSync(folderOf(FIRST), copy, { recursive: true });
  const file = path.join(copy, "model.safetensors");
  const bytes = readFileSync(file);
  bytes.fill(0xff, 8 + Number(bytes.readBigUInt64LE()));
  writeFileSync(file, bytes);
  return copy;
}

/** A whole model, whose weights are a hole of 1 GB in a file. */
function hugeModel(parent: string): string {
  const copy = path.join(parent, "huge");
  cpSync(folderOf(FIRST), copy, { recursive: true });
  const file = path.join(copy, "model.safetensors");
  const header = Buffer.from(JSON.stringify({ w: { dtype: "F32", shape: [250e6], data_offsets: [0, 1e9] } }));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  writeFileSync(file, Buffer.concat([length, header]));
  truncateSync(file, 8 + header.length + 1e9);
  return copy;
}

interface Answer {
  readonly embeddings: readonly (readonly number[])[];
  readonly model: string;
  readonly revision: string;
}

describe("three models on one pool, with memory for two", () => {
  let host: RealHost;
  const measuredBytes: number[] = [];
  const weighed = (pool: WorkerPool): WorkerPool => ({
    ...pool,
    start: (listener) =>
      pool.start({
        ...listener,
        workerReady(worker) {
          measuredBytes.push(worker.model.memoryBytes ?? 0);
          listener.workerReady({ ...worker, model: { ...worker.model, memoryBytes: WORKER_BYTES } });
        },
      }),
  });
  const folder = mkdtempSync(path.join(os.tmpdir(), "embedge-several-"));
  beforeAll(async () => {
    host = await startRealHost({
      wrapPool: weighed,
      config: {
        models: {
          default: folderOf(FIRST),
          served: [SECOND, THIRD, "qwen3-last"].map(folderOf).concat(spoiltModel(folder), hugeModel(folder)),
          memoryBytesMax: MEMORY_BYTES_MAX,
          aliases: { "the-second": SECOND },
        },
        pool: { workers: 1 },
      },
    });
  }, 60_000);
  afterAll(async () => {
    await host.close();
    rmSync(folder, { recursive: true });
  });

  const stages = (): Readonly<Record<string, string>> =>
    Object.fromEntries(host.models().map(({ name, stage }) => [name, stage]));

  function post(model: string, texts: readonly string[], asked: object = {}): Promise<Response> {
    const headers = { "content-type": "application/json" };
    const body = JSON.stringify({ model, texts, ...asked });
    return fetch(`${host.url}/api/v1/embed`, { method: "POST", headers, body });
  }

  async function ask(model: string, texts: readonly string[]): Promise<{ headers: Headers; answer: Answer }> {
    const response = await post(model, texts);
    const answer = (await response.json()) as Answer;
    expect({ status: response.status, ...(response.status === 200 ? {} : answer) }).toEqual({ status: 200 });
    return { headers: response.headers, answer };
  }

  test("the default one is there at the start, and no other", () => {
    const { [FIRST]: first, ...others } = stages();
    expect([first, new Set(Object.values(others))]).toEqual(["loaded", new Set(["cold"])]);
    expect(host.status().workers).toHaveLength(1);
    expect(measuredBytes[0]).toBeGreaterThan(20e6);
    expect(measuredBytes[0]).toBeLessThan(500e6);
  });

  test("a second one is loaded when it is asked for, by an alias too, and the answer names it and its revision", async () => {
    const [{ text, vector } = { text: "", vector: new Float32Array() }] = vectorsOf(SECOND);
    const [{ answer, headers }] = await Promise.all([ask("the-second", [text]), untilReadyStaysTrue()]);
    expect(maxAbsDifference(answer.embeddings[0] ?? [], vector)).toBeLessThanOrEqual(1e-4);
    const { info } = host.models().find(({ name }) => name === SECOND) ?? {};
    expect(answer).toMatchObject({ model: SECOND, revision: info?.revision });
    expect(answer.revision).toMatch(/^sha256:[0-9a-f]{16}$/);
    expect([headers.get("x-embedge-model"), headers.get("x-embedge-revision")]).toEqual([SECOND, answer.revision]);
    expect(stages()).toMatchObject({ [FIRST]: "loaded", [SECOND]: "loaded" });
  });

  /** While the second model loads. */
  async function untilReadyStaysTrue(): Promise<void> {
    await until("the second model is loading", () => stages()[SECOND] === "loading");
    expect((await fetch(`${host.url}/readyz`)).status).toBe(200);
  }

  test("a third one makes the least recently used one go, whose process ends and whose memory is free", async () => {
    await ask(FIRST, ["used last"]);
    const [, second] = host.status().workers;
    const pid = second?.pid ?? 0;
    expect(isRunning(pid)).toBe(true);
    await ask(THIRD, ["hello"]);
    expect(stages()).toMatchObject({ [FIRST]: "loaded", [SECOND]: "cold", [THIRD]: "loaded" });
    expect(isRunning(pid)).toBe(false);
    expect(host.models().find(({ name }) => name === SECOND)?.memoryBytes).toBe(0);
    const held = host.models().reduce((sum, { memoryBytes }) => sum + memoryBytes, 0);
    expect(held).toBeLessThanOrEqual(MEMORY_BYTES_MAX);
  });

  test("/metrics tells of each model", async () => {
    const text = await (await fetch(`${host.url}/metrics`)).text();
    expect(text).toContain(`embedding_model_ready_workers{model="${FIRST}"} 1`);
    expect(text).toContain(`embedding_model_memory_bytes{model="${SECOND}"} 0`);
    expect(text).toContain(`embedding_model_moves_total{model="${SECOND}",outcome="unloaded"} 1`);
  });

  test("W13 a model whose weights are spoilt fails its own callers with the reason, and nobody else", async () => {
    const [spoilt, fine] = await Promise.all([post("spoilt", ["hello"]), ask(THIRD, ["meanwhile"])]);
    const { error } = (await spoilt.json()) as { readonly error: { readonly code: string; readonly message: string } };
    expect([spoilt.status, error.code]).toEqual([503, "model_unavailable"]);
    expect(error.message).toMatch(/^spoilt cannot be loaded: the worker cannot start: \w+: .+\.$/);
    expect(Number(spoilt.headers.get("retry-after"))).toBeGreaterThanOrEqual(1);
    expect(fine.answer.model).toBe(THIRD);
    expect(stages()).toMatchObject({ spoilt: "cold" });
  });

  test("a model that can never fit is refused at once", async () => {
    const response = await post("huge", ["hello"]);
    const { error } = (await response.json()) as { readonly error: { readonly code: string } };
    expect([response.status, error.code, response.headers.get("retry-after")]).toEqual([503, "model_too_large", null]);
  });

  test("a prompt of a model that is cold is checked once the model is there", async () => {
    const response = await post("qwen3-last", ["a"], { prompt_name: "none" });
    const { error } = (await response.json()) as { readonly error: { readonly message: string } };
    expect([response.status, error.message]).toEqual([400, "qwen3-last has no such prompt; it has: query, document."]);
  });

  test("asked for all at once and again and again, all are answered rightly", { timeout: 120_000 }, async () => {
    const goldens = [FIRST, SECOND, THIRD].map((model) => ({
      model,
      rows: vectorsOf(model).filter(({ text }) => text),
    }));
    const client = async ({ model, rows }: (typeof goldens)[number]): Promise<void> => {
      for (const { text, vector } of rows) {
        const { answer } = await ask(model, [text]);
        expect(answer.model).toBe(model);
        expect(maxAbsDifference(answer.embeddings[0] ?? [], vector)).toBeLessThanOrEqual(1e-4);
      }
    };
    await Promise.all([...goldens, ...goldens].map(client));
    const { workers } = host.status();
    expect(workers.length).toBeLessThanOrEqual(2);
  });
});
