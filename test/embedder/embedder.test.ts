import { describe, expect, test } from "vitest";
import type { DispatchResult } from "../../runtime/embedder/call-rows.ts";
import type { DispatchCall } from "../../runtime/embedder/dispatcher.ts";
import {
  createEmbedder,
  type EmbedCall,
  type Embedder,
  type EmbedderOptions,
} from "../../runtime/embedder/embedder.ts";
import { createModelNames } from "../../runtime/embedder/model-names.ts";
import type { ModelInfo } from "../../runtime/pool/worker-pool.ts";
import { fakeModelInfo } from "../doubles/fake-answer.ts";

describe("embedder", () => {
  test("hands the model's own name, the deadline and the signal on", async () => {
    const { embedder, calls } = given();
    const { signal } = new AbortController();
    const result = await embedder.embed(call(["hello"], { model: "alias", deadlineAtMs: 1_234, signal }));
    expect(calls[0]).toMatchObject({ model: "fake-model", pooling: "default", deadlineAtMs: 1_234 });
    expect(calls[0]?.signal).toBe(signal);
    expect(result).toMatchObject({ model: "fake-model", vectors: { rows: 1, dimensions: 2 } });
  });

  test("a text costs its estimated tokens, and no more than the model reads", async () => {
    const { embedder, calls } = given();
    await embedder.embed(call(["one", "漢".repeat(300)]));
    expect(calls[0]?.inputTokens).toEqual([3, 256]);
  });

  test("a prompt costs its tokens with each text, and is handed on", async () => {
    const { embedder, calls } = given();
    await embedder.embed(call(["one", "two"], { prompt: "title: none | text: " }));
    await embedder.embed(call(["one"], { promptName: "query", truncationSide: "left", dimensions: 2 }));
    expect(calls[0]?.inputTokens[0]).toBeGreaterThan(8);
    expect(calls[0]).toMatchObject({ prompt: "title: none | text: " });
    expect(calls[1]?.inputTokens[0]).toBeGreaterThan(8);
    expect(calls[1]).toMatchObject({ promptName: "query", truncationSide: "left", dimensions: 2 });
  });

  test("a prompt that the model does not have is refused before it is queued", async () => {
    const { embedder, calls } = given();
    const refused = embedder.embed(call(["one"], { promptName: "nothing" }));
    await expect(refused).rejects.toMatchObject({ code: "invalid_request", param: "prompt_name" });
    expect(calls).toEqual([]);
  });

  test("what only the model can tell is asked of it first: a cold one is loaded by a call for an empty text", async () => {
    let info: ModelInfo | undefined;
    const { embedder, calls } = given({ info: () => info });
    const asked = embedder.embed(call(["one"], { promptName: "nothing" }));
    info = fakeModelInfo();
    await expect(asked).rejects.toMatchObject({ code: "invalid_request", param: "prompt_name" });
    expect(calls.map(({ texts, promptName }) => ({ texts, promptName }))).toEqual([
      { texts: [""], promptName: undefined },
    ]);
  });

  test.each([
    ["no text", [], "empty_input", "text"],
    ["more texts than the queue holds", ["a", "b", "c", "d"], "too_many_inputs", "text"],
    ["H05 a text of too many bytes", ["a", "é".repeat(501)], "input_too_long", "text[1]"],
    ["H17 half of a surrogate pair", ["a", "b\ud800"], "invalid_unicode", "text[1]"],
  ])("%s is refused before it is queued, naming the field", async (_title, texts, code, param) => {
    const { embedder, calls } = given();
    await expect(embedder.embed(call(texts))).rejects.toMatchObject({ code, param });
    expect(calls).toEqual([]);
  });

  test("a text at the limit passes, and so does an empty one", async () => {
    const { embedder } = given();
    await expect(embedder.embed(call(["é".repeat(500), ""]))).resolves.toMatchObject({ vectors: { rows: 2 } });
  });
});

function given(changes: Partial<EmbedderOptions> = {}): { embedder: Embedder; calls: DispatchCall[] } {
  const calls: DispatchCall[] = [];
  const embedder = createEmbedder({
    dispatcher: { submit: (asked) => (calls.push(asked), Promise.resolve(answer(asked.texts.length))) },
    names: createModelNames([{ name: "fake-model", aliases: [] }], { alias: "default" }),
    info: () => fakeModelInfo(),
    ...changes,
    served: () => [{ name: "fake-model", info: fakeModelInfo(), stage: "loaded", memoryBytes: 0 }],
    limits: { callInputsMax: 3, textBytesMax: 1_000 },
  });
  return { embedder, calls };
}

function call(texts: readonly string[], changes: Partial<EmbedCall> = {}): EmbedCall {
  const { signal } = new AbortController();
  return { model: "fake-model", texts, normalize: true, deadlineAtMs: 30_000, signal, ...changes };
}

function answer(texts: number): DispatchResult {
  return {
    revision: "fake-revision",
    data: new Float32Array(texts * 2),
    json: [],
    dimensions: 2,
    pooling: "mean",
    tokenCounts: Array.from({ length: texts }, () => 3),
    truncated: [],
    queueMs: 0,
    batchMs: 1,
  };
}
