import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { AppError, type ErrorCode } from "../../runtime/errors.ts";
import { type Listener, listen } from "../../runtime/http/listen.ts";
import { listenOptions } from "../doubles/memory-server.ts";
import { createMemoryEmbedder, MODEL } from "../doubles/memory-embedder.ts";
import { createMemoryFunctions, modelInfo } from "../doubles/memory-functions.ts";
import { javascriptClients } from "./javascript-clients.ts";

/** Every call fails so until the test changes it; by the text that it holds. */
const failures = new Map<string, AppError[]>();
const calls = new Map<string, number>();
let listener: Listener;
beforeAll(async () => {
  const embedder = createMemoryEmbedder({
    dimensions: 8,
    info: () => modelInfo(),
    intercept: ({ texts: [text = ""] }) => {
      calls.set(text, (calls.get(text) ?? 0) + 1);
      const failure = failures.get(text)?.shift();
      return failure && Promise.reject(failure);
    },
  });
  const app = await createMemoryFunctions({ embedder });
  listener = await listen((request) => app.fetch(request), listenOptions);
});
afterAll(() => listener.close(0));
beforeEach(() => calls.clear());

/** Asks once with a package that may repeat twice; how often the host was asked, and whether vectors came. */
async function ask(name: string, code: ErrorCode): Promise<readonly [calls: number, isServed: boolean]> {
  const text = `${name} ${code}`;
  failures.set(text, [new AppError(code, { retryAfterMs: 50 })]);
  const client = javascriptClients(`http://127.0.0.1:${listener.port}`, 2)[name];
  const isServed = await client?.embed(MODEL, [text]).then(
    (vectors) => vectors[0]?.length === 8,
    () => false,
  );
  return [calls.get(text) ?? 0, isServed === true];
}

async function askAll(names: readonly string[], code: ErrorCode): Promise<Readonly<Record<string, unknown>>> {
  return Object.fromEntries(await Promise.all(names.map(async (name) => [name, await ask(name, code)] as const)));
}

const patient = ["openai", "@langchain/openai", "@llamaindex/openai", "cloudflare", "cohere-ai", "voyageai"];
/** These never repeat a 429. */
const hasty = ["ollama", "@huggingface/inference"];
const each = (names: readonly string[], result: unknown): object =>
  Object.fromEntries(names.map((name) => [name, result]));

test("a full queue: who obeys Retry-After comes again once and is served", async () => {
  expect(await askAll(patient, "queue_full")).toEqual(each(patient, [2, true]));
}, 30_000);

test("a full queue: Ollama's and Hugging Face's clients ask once and tell their user", async () => {
  expect(await askAll(hasty, "queue_full")).toEqual(each(hasty, [1, false]));
});

test("a host without workers is not hammered by Hugging Face's client, which repeats a 503 without end", async () => {
  expect(await ask("@huggingface/inference", "no_worker")).toEqual([1, false]);
});

test("what cannot succeed is asked once", async () => {
  const all = [...patient, ...hasty];
  expect(await askAll(all, "invalid_request")).toEqual(each(all, [1, false]));
});
