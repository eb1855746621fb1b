import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { InferenceClient } from "@huggingface/inference";
import { CohereClientV2 } from "cohere-ai";
import cl100k from "js-tiktoken/ranks/cl100k_base";
import { Ollama } from "ollama";
import OpenAI from "openai";
import { VoyageAIClient } from "voyageai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { goldenVector, maxAbsDifference } from "../doubles/golden-vectors.ts";
import { type RealHost, startRealHost } from "../doubles/real-host.ts";
import { findRealWorker } from "../doubles/real-worker.ts";
import golden from "../golden/minilm.json" with { type: "json" };
import { javascriptClients } from "./javascript-clients.ts";

const DIFFERENCE_MAX = 1e-5;
const MODEL = "text-embedding-3-small";
const SLASHED = "@cf/baai/bge-base-en-v1.5";
const indexes = [20, 50, 100];
const texts = indexes.map((index) => golden.texts[index] ?? "");

let host: RealHost;
beforeAll(async () => {
  host = await startRealHost({
    config: { models: { aliases: { [MODEL]: "default", [SLASHED]: "default" } } },
    workers: [
      { name: "functions", functions: "functions" },
      { name: "bound", functions: join(import.meta.dirname, "functions") },
    ],
  });
}, 60_000);
afterAll(() => host.close());

function expectGolden(vectors: readonly (readonly number[])[]): void {
  expect(vectors).toHaveLength(texts.length);
  for (const [row, index] of indexes.entries()) {
    expect(maxAbsDifference(vectors[row] ?? [], goldenVector(index))).toBeLessThanOrEqual(DIFFERENCE_MAX);
  }
}

describe.each(Object.keys(javascriptClients("")))("the package %s for JavaScript", (name) => {
  const client = (): ReturnType<typeof javascriptClients>[string] => {
    const found = javascriptClients(host.url)[name];
    if (found === undefined) throw new Error(`There is no client ${name}.`);
    return found;
  };

  test("gets the reference vectors", async () => {
    expectGolden(await client().embed(MODEL, texts));
  });

  test("throws an error of its own that names what is wrong", async () => {
    // Hugging Face's client names no model.
    const embedded = client().embed("no-such-model", name === "@huggingface/inference" ? [] : texts);
    await expect(embedded).rejects.toMatchObject(client().failure);
  });
});

describe("what else these packages can ask for", () => {
  const [source = "", ...sentences] = texts;
  const cosines = indexes.slice(1).map((index) => expect.closeTo(dot(goldenVector(20), goldenVector(index)), 5));
  const apiKey = "unused";

  test("openai lists the models, and finds one with a slash in its name", async () => {
    const client = new OpenAI({ baseURL: `${host.url}/v1`, apiKey });
    const { data } = await client.models.list();
    expect(data.map(({ id }) => id)).toEqual(["all-MiniLM-L6-v2", MODEL, SLASHED]);
    expect((await client.models.retrieve(SLASHED)).id).toBe(SLASHED);
  });

  test("ollama lists models under names that it can embed with", async () => {
    const client = new Ollama({ host: host.url });
    for (const { name } of (await client.list()).models) {
      expectGolden((await client.embed({ model: name, input: texts })).embeddings);
    }
    const { embedding } = await client.embeddings({ model: MODEL, prompt: source });
    expect(maxAbsDifference(embedding, goldenVector(20))).toBeLessThanOrEqual(DIFFERENCE_MAX);
    expect((await client.show({ model: MODEL })).capabilities).toEqual(["embedding"]);
  });

  test("cohere-ai gets eight-bit numbers and bits", async () => {
    const client = new CohereClientV2({ token: apiKey, environment: host.url });
    const { embeddings } = await client.embed({
      model: MODEL,
      texts: [source],
      inputType: "search_query",
      embeddingTypes: ["int8", "ubinary"],
    });
    const [small = []] = embeddings.int8 ?? [];
    expect(dot(small, goldenVector(20)) / Math.hypot(...small)).toBeGreaterThan(0.999);
    expect(embeddings.ubinary?.[0]).toEqual(bitsOf(goldenVector(20)));
  });

  test("voyageai gets bits", async () => {
    const client = new VoyageAIClient({ apiKey, environment: `${host.url}/v1` });
    const { data = [] } = await client.embed({ model: MODEL, input: source, outputDtype: "ubinary" });
    expect(data[0]?.embedding).toEqual(bitsOf(goldenVector(20)));
  });

  test("@huggingface/inference gets similarities", async () => {
    const client = new InferenceClient("hf_unused", { endpointUrl: `${host.url}/similarity` });
    const scores = await client.sentenceSimilarity({ inputs: { source_sentence: source, sentences } });
    expect(scores).toEqual(cosines);
  });
});

describe.each(["ai-sdk", "langchain"])("inside a function, over env.AI, %s", (name) => {
  const ask = async (model: string): Promise<unknown> => {
    const body = JSON.stringify({ model, texts });
    const request = new Request(`http://localhost/${name}`, { method: "POST", body });
    return (await host.worker("bound").fetch(request)).json();
  };

  test("gets the reference vectors", async () => {
    expectGolden((await ask(MODEL)) as number[][]);
  });

  test("throws an error that names what is wrong", async () => {
    expect(await ask("no-such-model")).toMatchObject({ message: expect.stringContaining('no model "no-such-model"') });
  });
});

describe("the packages for Python", () => {
  let answers: Readonly<Record<string, { readonly vectors: number[][]; readonly error: string }>>;
  let cache: string;
  beforeAll(async () => {
    cache = await mkdtemp(join(tmpdir(), "embedge-tiktoken-"));
    await writeCl100k(cache);
    const [python] = findRealWorker().command;
    const script = join(import.meta.dirname, "clients.py");
    const env = { ...process.env, TIKTOKEN_CACHE_DIR: cache };
    const { stdout } = await promisify(execFile)(python, [script, host.url, MODEL, JSON.stringify(texts)], { env });
    answers = JSON.parse(stdout) as typeof answers;
  }, 60_000);
  afterAll(() => rm(cache, { recursive: true, force: true }));

  test.each(["openai", "langchain-openai", "ollama", "cohere", "huggingface_hub"])(
    "%s gets the reference vectors",
    (name) => {
      expectGolden(answers[name]?.vectors ?? []);
    },
  );

  test.each([
    ["openai", /^NotFoundError .*There is no model/],
    ["langchain-openai", /^NotFoundError .*There is no model/],
    ["ollama", /^ResponseError model not found: .* \(status code: 404\)$/],
    ["cohere", /^NotFoundError .*There is no model/],
  ])("%s throws its own error for a model that is not there", (name, error) => {
    expect(answers[name]?.error.replaceAll("\n", " ")).toMatch(error);
  });
});

function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  return Array.from(a).reduce((sum, value, index) => sum + value * (b[index] ?? 0), 0);
}

/** `numpy.packbits(vector > 0)`. */
function bitsOf(vector: Float32Array): readonly number[] {
  const bits = Array.from(vector, (value) => (value > 0 ? "1" : "0")).join("");
  return (bits.match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2));
}

/** The file that tiktoken would fetch from the network when it first counts tokens, under the name that it looks for. */
async function writeCl100k(folder: string): Promise<void> {
  const url = "https://openaipublic.blob.core.windows.net/encodings/cl100k_base.tiktoken";
  const lines = cl100k.bpe_ranks.split("\n").flatMap((line) => {
    const [, first, ...tokens] = line.split(" ");
    return tokens.map((token, index) => `${token} ${Number(first) + index}\n`);
  });
  await writeFile(join(folder, createHash("sha1").update(url).digest("hex")), lines.join(""));
}
