import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { FAKE_DIMENSIONS, fakeVector } from "../doubles/fake-answer.ts";
import type { FunctionsHome } from "../doubles/functions-homes.ts";

const MODEL = "@cf/baai/bge-base-en-v1.5";

interface Asked {
  readonly model?: unknown;
  readonly input?: unknown;
  readonly options?: object;
  readonly abort?: "before" | "after";
}

const aiError = (message: string): object => ({
  name: "AiError",
  class: "InferenceUpstreamError",
  message,
  isError: true,
});
const aborted = { name: "AbortError", class: "DOMException", message: expect.any(String), isError: true };
const rows = (texts: readonly string[], normalize = true): object =>
  texts.map((text) => [...fakeVector(text, { normalize })].map((value) => expect.closeTo(value, 7)));

const answers: readonly (readonly [string, Asked, object])[] = [
  [
    "one text",
    { input: { text: "one" } },
    { shape: [1, FAKE_DIMENSIONS], data: rows(["one"]), pooling: "mean", tokens: [3], truncated: [] },
  ],
  [
    "a list, in order",
    { input: { text: ["b", "a", "b"] } },
    { shape: [3, FAKE_DIMENSIONS], data: rows(["b", "a", "b"]), tokens: [3, 3, 3] },
  ],
  ["an empty text", { input: { text: "" } }, { shape: [1, FAKE_DIMENSIONS], data: rows([""]) }],
  ["pooling", { input: { text: "one", pooling: "cls" } }, { pooling: "cls" }],
  ["vectors of their own length", { input: { text: "one", normalize: false } }, { data: rows(["one"], false) }],
  ["a cut text", { input: { text: "w ".repeat(300) } }, { truncated: [0], tokens: [256] }],
  [
    "an AI Gateway, which there is none",
    { input: { text: "one" }, options: { gateway: { id: "g" } } },
    { data: rows(["one"]) },
  ],
  [
    "headers of its own",
    { input: { text: "one" }, options: { extraHeaders: { "x-a": "1" } } },
    { data: rows(["one"]) },
  ],
];

const failures: readonly (readonly [string, Asked, object, number])[] = [
  [
    "an unknown model",
    { model: "none", input: { text: "a" } },
    aiError('5007: There is no model "none" here. There are: MODELS. [model_not_found, model]'),
    400,
  ],
  ["no input", { input: {} }, aiError("5006: `text` must be a text or a list of texts. [invalid_request, text]"), 400],
  [
    "a number",
    { input: { text: ["a", 5] } },
    aiError("5006: A text must be a string. [invalid_request, text[1]]"),
    400,
  ],
  [
    "an unknown pooling",
    { input: { text: "a", pooling: "max" } },
    aiError("5006: `pooling` must be mean or cls. [invalid_request, pooling]"),
    400,
  ],
  [
    "no text",
    { input: { text: [] } },
    aiError("5006: There is no text to embed, or one of the texts is empty. [empty_input, text]"),
    400,
  ],
  [
    "half of a surrogate pair",
    { input: { text: "\ud83d" } },
    aiError("5006: A text holds half of a surrogate pair. [invalid_unicode, text]"),
    400,
  ],
  [
    "too many texts",
    { input: { text: Array(101).fill("a") } },
    aiError("3006: 101 texts are more than the limit of 100 for one run. [too_many_inputs, text]"),
    413,
  ],
  [
    "a text that the model cannot take",
    { input: { text: ["a", "fault:nan_row"] } },
    aiError(
      "5004: This text alone makes the model fail; `param` names it. The other texts are not to blame. [poison_input, text[1]]",
    ),
    400,
  ],
];

/** `env.AI` is the same to a function wherever it runs (M12). */
export function describeAiBinding(name: string, start: () => Promise<FunctionsHome>): void {
  describe(`env.AI: ${name}`, () => {
    let home: FunctionsHome;
    beforeAll(async () => {
      home = await start();
    });
    afterAll(() => home[Symbol.asyncDispose]());

    const ask = async (asked: Asked): Promise<Record<string, unknown>> => {
      const body = JSON.stringify({ model: MODEL, ...asked });
      const response = await home.fetch("/ai", { method: "POST", body });
      return (await response.json()) as Record<string, unknown>;
    };

    test.each(answers)("%s", async (_, asked, answer) => {
      expect(await ask(asked)).toEqual({
        answer: { ...((await ask(asked)) as { answer: object }).answer, ...answer },
        binding: "Ai",
        lastRequestId: expect.stringMatching(/^[\w-]{36}$/),
        lastRequestHttpStatusCode: 200,
        aiGatewayLogId: null,
      });
    });

    test("an answer has the fields of Workers AI and ours, and no others", async () => {
      const { answer } = await ask({ input: { text: "one" } });
      const fields = ["data", "model", "pooling", "revision", "shape", "tokens", "truncated"];
      expect(Object.keys(answer as object).toSorted()).toEqual(fields);
    });

    test.each(failures)("%s", async (_, asked, thrown, httpStatus) => {
      const outcome = await ask(asked);
      const found = outcome["thrown"] as { message: string };
      const message = found.message.replace(/(There are: ).*(\. \[)/, "$1MODELS$2");
      expect({ ...found, message }).toEqual(thrown);
      expect(outcome).toMatchObject({
        lastRequestId: expect.stringMatching(/^[\w-]{36}$/),
        lastRequestHttpStatusCode: httpStatus,
      });
    });

    test.each(["before", "after"] as const)("a signal that aborts %s the call", async (abort) => {
      expect((await ask({ input: { text: "fault:stall" }, abort }))["thrown"]).toEqual(aborted);
      home.finishAll();
    });

    test("models lists what is served here, under each of its names", async () => {
      const response = await home.fetch("/ai", {});
      const models = (await response.json()) as { name: string }[];
      // Behind them those that could be loaded.
      expect(models.map((model) => model.name).slice(0, 2)).toEqual([expect.stringMatching(/^embedge-/), MODEL]);
      expect(models[1]).toEqual({
        id: MODEL,
        name: MODEL,
        description: expect.stringMatching(/^Answered by embedge-/),
        task: { name: "Text Embeddings" },
        tags: [],
        properties: [
          { property_id: "output_dimensions", value: String(FAKE_DIMENSIONS) },
          { property_id: "max_input_tokens", value: "256" },
          { property_id: "pooling", value: "mean" },
          { property_id: "prompts", value: '["query","document"]' },
        ],
      });
      expect(await (await home.fetch("/ai?search=BGE-base", {})).json()).toHaveLength(1);
    });
  });
}
