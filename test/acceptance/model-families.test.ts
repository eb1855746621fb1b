import { readFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { maxAbsDifference } from "../doubles/golden-vectors.ts";
import { startRealHost, type RealHost } from "../doubles/real-host.ts";

/** Vectors of sentence-transformers, by prompt name. */
interface Golden {
  readonly texts: readonly string[];
  readonly cases: Readonly<Record<string, { readonly dimensions: number; readonly vectors_base64_f32le: string }>>;
}

interface Answer {
  readonly status: number;
  readonly embeddings?: readonly (readonly number[])[];
  readonly data?: readonly { readonly embedding: readonly number[] }[];
  readonly error?: { readonly message: string; readonly param: string };
}

const folderOf = (name: string): string => path.join(import.meta.dirname, "../models", name);

describe.each([
  { name: "bert-cls", differenceMax: 1e-4, prompts: [] },
  { name: "modernbert-cls", differenceMax: 1e-4, prompts: [] },
  { name: "xlm-roberta-mean", differenceMax: 1e-4, prompts: ["query", "passage"] },
  { name: "qwen3-last", differenceMax: 1e-4, prompts: ["query"] },
  { name: "qwen3-last-4bit", differenceMax: 1e-3, prompts: ["query"] },
  { name: "gemma3-dense", differenceMax: 1e-4, prompts: ["query", "document"] },
])("$name, through HTTP", ({ name, differenceMax, prompts }) => {
  const golden = JSON.parse(readFileSync(path.join(folderOf(name), "golden.json"), "utf8")) as Golden;
  let host: RealHost;
  beforeAll(async () => {
    host = await startRealHost({ config: { models: { default: folderOf(name) }, pool: { workers: 1 } } });
  }, 60_000);
  afterAll(() => host.close());

  async function ask(route: string, body: object): Promise<Answer> {
    const headers = { "content-type": "application/json" };
    const init = { method: "POST", headers, body: JSON.stringify({ model: name, ...body }) };
    const response = await fetch(`${host.url}${route}`, init);
    return { status: response.status, ...((await response.json()) as object) };
  }

  function referenceOf(promptName: string, row: number): Float32Array {
    const stored = golden.cases[promptName];
    if (stored === undefined) throw new Error(`${name} has no golden vectors of ${promptName}`);
    const bytes = Buffer.from(stored.vectors_base64_f32le, "base64");
    const start = row * stored.dimensions;
    return Float32Array.from({ length: stored.dimensions }, (_, at) => bytes.readFloatLE((start + at) * 4));
  }

  test.each(prompts)(
    "what a text is for finds the prompt %s, in Cohere's words and in Voyage's",
    async (promptName) => {
      const purpose = promptName === "query" ? "query" : "document";
      const rows = golden.texts.flatMap((text, row) => (text === "" ? [] : row));
      const texts = rows.map((row) => golden.texts[row]);
      const cohere = await ask("/v2/embed", { texts, input_type: `search_${purpose}` });
      const voyage = await ask("/v1/embeddings", { input: texts, input_type: purpose });
      const { float = [] } = cohere.embeddings as unknown as { readonly float?: number[][] };
      for (const [index, row] of rows.entries()) {
        const reference = referenceOf(promptName, row);
        expect(maxAbsDifference(float[index] ?? [], reference)).toBeLessThanOrEqual(differenceMax);
        expect(maxAbsDifference(voyage.data?.[index]?.embedding ?? [], reference)).toBeLessThanOrEqual(differenceMax);
      }
    },
  );

  test.each(["default", ...prompts])("vectors equal the reference: prompt %s", async (promptName) => {
    const asked = promptName === "default" ? {} : { prompt_name: promptName };
    const { embeddings = [] } = await ask("/api/v1/embed", { texts: golden.texts, ...asked });
    const { data = [] } = await ask("/v1/embeddings", { input: golden.texts.map((text) => text || " "), ...asked });
    expect([embeddings.length, data.length]).toEqual([golden.texts.length, golden.texts.length]);
    for (const [row, text] of golden.texts.entries()) {
      const reference = referenceOf(promptName, row);
      expect(maxAbsDifference(embeddings[row] ?? [], reference), `text ${row}`).toBeLessThanOrEqual(differenceMax);
      // OpenAI's dialect refuses an empty text.
      if (text === "") continue;
      expect(maxAbsDifference(data[row]?.embedding ?? [], reference), `text ${row}`).toBeLessThanOrEqual(differenceMax);
    }
  });

  test("an unknown prompt is a 400 that lists those there are", async () => {
    const { status, error } = await ask("/v1/embeddings", { input: "a", prompt_name: "none" });
    expect([status, error?.param]).toEqual([400, "prompt_name"]);
    for (const prompt of prompts) expect(error?.message).toContain(prompt);
  });

  test("dimensions that it does not have are a 400 with their number", async () => {
    const { status, error } = await ask("/v1/embeddings", { input: "a", dimensions: 129 });
    expect([status, error?.param]).toEqual([400, "dimensions"]);
  });
});

describe("what a caller asks beside the text", () => {
  let host: RealHost;
  beforeAll(async () => {
    host = await startRealHost({ config: { models: { default: folderOf("qwen3-last") }, pool: { workers: 1 } } });
  }, 60_000);
  afterAll(() => host.close());

  async function vectorOf(text: string, asked: object = {}): Promise<Float32Array> {
    const { vectors } = await host.embed([text], asked);
    return vectors.data;
  }

  test("a prompt in free text is put before each text", async () => {
    expect(maxAbsDifference(await vectorOf("harbour", { prompt: "Q: " }), await vectorOf("Q: harbour"))).toBeLessThan(
      1e-6,
    );
  });

  test("fewer dimensions are the first ones at length 1 again, or at their own", async () => {
    const whole = await vectorOf("harbour", { normalize: false });
    const head = await vectorOf("harbour", { normalize: false, dimensions: 32 });
    expect(maxAbsDifference(head, whole.subarray(0, 32))).toBeLessThan(1e-5);
    const cut = await vectorOf("harbour", { dimensions: 32 });
    const length = Math.hypot(...head);
    expect(
      maxAbsDifference(
        cut,
        head.map((value) => value / length),
      ),
    ).toBeLessThan(1e-5);
  });

  test("cut at the left a long text keeps its end", async () => {
    const long = `${"harbour ".repeat(600)}lighthouse`;
    const end = await vectorOf(long, { truncationSide: "left" });
    const start = await vectorOf(long);
    expect(maxAbsDifference(end, start)).toBeGreaterThan(1e-3);
    expect(maxAbsDifference(end, await vectorOf(`cliff ${long}`, { truncationSide: "left" }))).toBeLessThan(1e-6);
  });
});
