import { describe, expect, test } from "vitest";
import type { AiBinding, AiTextInput } from "../../functions/_types.ts";
import type { EmbedResult } from "../../runtime/embedder/embedder.ts";
import { AppError, type ErrorCode } from "../../runtime/errors.ts";
import { encodeAnswer } from "../../runtime/routing/ai-answer.ts";
import { bindAi } from "../../runtime/routing/ai-binding.ts";
import { toFloat32Decimal } from "../../runtime/routing/float32-decimal.ts";
import { InferenceUpstreamError } from "../../runtime/routing/upstream-error.ts";
import {
  createMemoryEmbedder,
  embedResult,
  MODEL,
  REVISION,
  type MemoryEmbedder,
  vectorOf,
} from "../doubles/memory-embedder.ts";

function given(embedder: MemoryEmbedder = createMemoryEmbedder()): {
  ai: AiBinding;
  embedder: MemoryEmbedder;
  invocation: AbortController;
  embedded: EmbedResult[];
} {
  const invocation = new AbortController();
  const embedded: EmbedResult[] = [];
  const scope = {
    id: "id-1",
    deadlineAtMs: () => 5_000,
    signal: invocation.signal,
    embedded: (result: EmbedResult) => void embedded.push(result),
  };
  return { ai: bindAi(embedder, scope, { textsMax: 100 }), embedder, invocation, embedded };
}

const failing = (code: ErrorCode): MemoryEmbedder =>
  createMemoryEmbedder({ intercept: () => Promise.reject(new AppError(code)) });

async function failureOf(run: Promise<unknown>): Promise<InferenceUpstreamError> {
  const error: unknown = await run.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof InferenceUpstreamError)) throw new Error("no InferenceUpstreamError", { cause: error });
  return error;
}

describe("env.AI.run", () => {
  test("answers in Workers AI's shape, with our additions", async () => {
    const { ai, embedded } = given();
    const answer = await ai.run("m", { text: ["one", "x".repeat(21)] });
    expect(answer).toEqual({
      shape: [2, 4],
      data: [expect.any(Array), expect.any(Array)],
      pooling: "mean",
      model: MODEL,
      revision: REVISION,
      tokens: [5, 23],
      truncated: [1],
    });
    expect(Float32Array.from(answer.data[0] ?? [])).toEqual(vectorOf("one", 4));
    expect(embedded).toHaveLength(1);
  });

  test("takes one text for a list of one, and normalises unless told not to", async () => {
    const { ai, embedder } = given();
    await ai.run("m", { text: "one" });
    await ai.run("m", { text: "one", pooling: "cls", normalize: false });
    expect(embedder.calls).toMatchObject([
      { model: "m", texts: ["one"], pooling: undefined, normalize: true, deadlineAtMs: 5_000 },
      { model: "m", texts: ["one"], pooling: "cls", normalize: false, deadlineAtMs: 5_000 },
    ]);
  });

  test("hands prompt, dimensions and truncation side on, as embedge's additions", async () => {
    const { ai, embedder } = given();
    await ai.run("m", { text: "one", prompt_name: "query", dimensions: 2, truncation_side: "left" });
    await ai.run("m", { text: "one", prompt: "query: " });
    expect(embedder.calls).toMatchObject([
      { promptName: "query", prompt: undefined, dimensions: 2, truncationSide: "left" },
      { promptName: undefined, prompt: "query: ", dimensions: undefined, truncationSide: undefined },
    ]);
  });

  test.each([{ prompt_name: 1 }, { prompt: ["a"] }, { dimensions: "2" }, { truncation_side: "middle" }])(
    "refuses %j, naming the field (H40)",
    async (wrong) => {
      const error = await failureOf(given().ai.run("m", { text: "a", ...wrong } as unknown as AiTextInput));
      expect(error.cause).toMatchObject({ code: "invalid_request", param: Object.keys(wrong)[0] });
    },
  );

  test("its answer is plain data to whoever copies it, prints it or changes it", async () => {
    const answer = await given().ai.run("m", { text: ["one", "two"] });
    const data = [vectorOf("one", 4), vectorOf("two", 4)].map((row) => Array.from(row, toFloat32Decimal));
    expect(structuredClone({ ...answer })).toMatchObject({ shape: [2, 4], data });
    expect(JSON.parse(JSON.stringify(answer))).toEqual({ ...answer });
    expect(Object.keys(answer)).not.toContain("encode");
    (answer.data[0] as number[])[0] = 5;
    expect(answer.data[0]?.[0]).toBe(5);
  });

  test("its answer gives the rows as text", async () => {
    const answer = await given().ai.run("m", { text: ["one", "two"] });
    expect(answer.encode?.("json").map((row) => JSON.parse(row) as unknown)).toEqual(answer.data);
    expect(answer.encode?.("base64")).toEqual(
      ["one", "two"].map((text) => Buffer.from(vectorOf(text, 4).buffer).toString("base64")),
    );
  });

  test("a row's text is the one that the worker wrote, where it did", async () => {
    const written = new TextEncoder().encode("[ 1, 2, 3, 4 ]");
    const { vectors, ...facts } = embedResult(["one", "two"], 4);
    const result = { ...facts, vectors: { ...vectors, json: [undefined, written] } };
    const { ai } = given(createMemoryEmbedder({ intercept: () => Promise.resolve(result) }));
    const rows = (await ai.run("m", { text: ["one", "two"] })).encode?.("json");
    expect(rows).toEqual([JSON.stringify(Array.from(vectorOf("one", 4), toFloat32Decimal)), "[ 1, 2, 3, 4 ]"]);
    expect(JSON.parse(new TextDecoder().decode(encodeAnswer(result)))).toMatchObject({
      data: [Array.from(vectorOf("one", 4), toFloat32Decimal), [1, 2, 3, 4]],
    });
  });

  test("has the genuine class's name and properties", async () => {
    const { ai } = given();
    expect(ai.constructor.name).toBe("Ai");
    expect(ai).toMatchObject({ lastRequestId: null, lastRequestHttpStatusCode: null, aiGatewayLogId: null });
    await ai.run("m", { text: "one" });
    expect(ai).toMatchObject({ lastRequestId: "id-1", lastRequestHttpStatusCode: 200 });
  });
});

describe("its errors", () => {
  test.each([
    ["model_not_found", "AiError", "5007"],
    ["empty_input", "AiError", "5006"],
    ["invalid_unicode", "AiError", "5006"],
    ["poison_input", "AiError", "5004"],
    ["input_too_long", "AiError", "3006"],
    ["queue_full", "InferenceUpstreamError", "3040"],
    ["no_worker", "InferenceUpstreamError", "3040"],
    ["draining", "InferenceUpstreamError", "3040"],
    ["deadline_exceeded", "InferenceUpstreamError", "3007"],
    ["client_gone", "InferenceUpstreamError", "3008"],
    ["worker_failed", "InferenceUpstreamError", "3043"],
  ] as const)("%s is %s with code %s", async (code, name, number) => {
    const error = await failureOf(given(failing(code)).ai.run("m", { text: "a" }));
    expect([error.name, error.constructor.name]).toEqual([name, "InferenceUpstreamError"]);
    expect(error.message).toMatch(new RegExp(`^${number}: .`));
    expect(error.cause).toMatchObject({ code });
    expect(Object.keys(error)).toEqual(["name"]);
  });

  test("anything else that the embedder throws is 3043", async () => {
    const broken = createMemoryEmbedder({ intercept: () => Promise.reject(new RangeError("inside")) });
    const error = await failureOf(given(broken).ai.run("m", { text: "a" }));
    expect(error.message).toMatch(/^3043: /);
    expect(error.message).not.toContain("inside");
    expect(error.cause).toMatchObject({ code: "internal_error" });
  });
});

describe("its input (F19)", () => {
  const throwing = {
    get text(): string {
      throw new Error("from the getter");
    },
  };
  const throwingItems = new Proxy(["a"], {
    get: (target, key) => {
      if (key === "0") throw new Error("from the proxy");
      return Reflect.get(target, key) as unknown;
    },
  });
  test.each<[string, unknown, ErrorCode, string | undefined]>([
    ["no object", null, "invalid_request", undefined],
    ["no text", {}, "invalid_request", "text"],
    ["a number", { text: 5 }, "invalid_request", "text"],
    ["a number in the list", { text: ["a", 5] }, "invalid_request", "text[1]"],
    ["a hole in the list", { text: Array(2) }, "invalid_request", "text[0]"],
    ["an empty list", { text: [] }, "empty_input", "text"],
    ["101 texts", { text: Array(101).fill("a") }, "too_many_inputs", "text"],
    ["half of a surrogate pair (H17)", { text: ["\ud83d"] }, "invalid_unicode", "text[0]"],
    ["an unknown pooling", { text: "a", pooling: "last" }, "invalid_request", "pooling"],
    ["a word for normalize", { text: "a", normalize: "no" }, "invalid_request", "normalize"],
    ["a getter that throws", throwing, "invalid_request", undefined],
    ["a list whose items throw", { text: throwingItems }, "invalid_request", "text"],
  ])("%s is refused before the embedder is asked", async (_, input, code, param) => {
    const { ai, embedder } = given();
    const error = await failureOf(ai.run("m", input as AiTextInput));
    expect(error.name).toBe("AiError");
    expect(error.cause).toMatchObject({ code, param });
    expect(embedder.calls).toEqual([]);
  });

  test("a million texts are refused without a copy of them", async () => {
    let reads = 0;
    const million = new Proxy(Array<string>(1_000_000), {
      get: (target, key) => {
        reads++;
        return Reflect.get(target, key) as unknown;
      },
    });
    const error = await failureOf(given().ai.run("m", { text: million }));
    expect(error.message).toMatch(/^3006: /);
    expect(reads).toBeLessThan(10);
  });

  test("texts that change after the call do not change what runs", async () => {
    const { ai, embedder } = given();
    const texts = ["before"];
    const run = ai.run("m", { text: texts });
    texts[0] = "after";
    texts.push("more");
    await run;
    expect(embedder.calls[0]?.texts).toEqual(["before"]);
  });

  test.each(["../../x", "/etc/passwd", "http://127.0.0.1:1/x", "file:///x"])(
    "the model %s is a name to look up, nothing else (S04, S05)",
    async (name) => {
      const { ai, embedder } = given(failing("model_not_found"));
      expect((await failureOf(ai.run(name, { text: "a" }))).message).toMatch(/^5007: /);
      expect(embedder.calls[0]?.model).toBe(name);
    },
  );

  test("options that an embedding cannot have are refused, not ignored", async () => {
    const options = { returnRawResponse: true } as object;
    expect((await failureOf(given().ai.run("m", { text: "a" }, options))).cause).toMatchObject({
      code: "invalid_request",
    });
  });
});

describe("its signals", () => {
  const waiting = (): MemoryEmbedder =>
    createMemoryEmbedder({
      intercept: ({ signal }) =>
        new Promise((_, reject) => {
          signal.addEventListener("abort", () => reject(new AppError("client_gone")));
        }),
    });

  test("a signal that has aborted ends the run before it begins", async () => {
    const { ai, embedder } = given();
    const run = ai.run("m", { text: "a" }, { signal: AbortSignal.abort() });
    await expect(run).rejects.toMatchObject({ name: "AbortError" });
    expect(embedder.calls).toEqual([]);
  });

  test("a signal that aborts later ends the call, with its own reason", async () => {
    const { ai } = given(waiting());
    const own = new AbortController();
    const run = ai.run("m", { text: "a" }, { signal: own.signal });
    own.abort();
    await expect(run).rejects.toMatchObject({ name: "AbortError" });
  });

  test("the invocation's signal ends the call too", async () => {
    const { ai, invocation } = given(waiting());
    const run = ai.run("m", { text: "a" }, { signal: new AbortController().signal });
    invocation.abort();
    expect((await failureOf(run)).message).toMatch(/^3008: /);
  });

  test("the 65th open run of one invocation is refused (Q38)", async () => {
    const { ai, invocation } = given(waiting());
    const open = Array.from({ length: 64 }, () => ai.run("m", { text: "a" }).catch(() => "ended"));
    expect((await failureOf(ai.run("m", { text: "a" }))).cause).toMatchObject({ code: "queue_full" });
    invocation.abort();
    await Promise.all(open);
    expect((await failureOf(ai.run("m", { text: [] }))).cause).toMatchObject({ code: "empty_input" });
  });
});

test("a result of many rows keeps their order", async () => {
  const texts = Array.from({ length: 100 }, (_, index) => `text ${index}`);
  const answer = await given().ai.run("m", { text: texts });
  expect(answer.data.flat().map(Math.fround)).toEqual([...embedResult(texts, 4).vectors.data]);
});
