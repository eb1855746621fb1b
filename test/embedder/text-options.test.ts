import { expect, test } from "vitest";
import { checkTextOptions } from "../../runtime/embedder/text-options.ts";
import type { AppError } from "../../runtime/errors.ts";
import type { ModelInfo, TextOptions } from "../../runtime/pool/worker-pool.ts";
import { fakeModelInfo } from "../doubles/fake-answer.ts";

const matryoshka = fakeModelInfo({ model: "m", prompts: ["query"], dimensions: 8, dimensionsAllowed: [4, 2] });
const plain = fakeModelInfo({ model: "m", prompts: [], dimensions: 8 });

function refusalOf(options: TextOptions, info: ModelInfo | undefined): string | undefined {
  try {
    checkTextOptions(options, info, 100);
    return undefined;
  } catch (error) {
    const { code, param, message } = error as AppError;
    return code === "invalid_request" ? `${param}: ${message}` : `${code} ${param}`;
  }
}

test.each<[TextOptions, ModelInfo | undefined]>([
  [{}, undefined],
  [{ prompt: "query: ", truncationSide: "left" }, undefined],
  [{ promptName: "query" }, matryoshka],
  [{ dimensions: 2 }, matryoshka],
  [{ dimensions: 8 }, matryoshka],
  [{ dimensions: 1, prompt: "p".repeat(100) }, plain],
])("%j passes", (options, info) => {
  expect(refusalOf(options, info)).toBeUndefined();
});

test.each<[TextOptions, ModelInfo | undefined, string]>([
  [{ promptName: "query", prompt: "" }, matryoshka, "prompt: `prompt` and `prompt_name` exclude each other."],
  [{ promptName: "document" }, matryoshka, "prompt_name: m has no such prompt; it has: query."],
  [{ promptName: "query" }, plain, "prompt_name: m has no such prompt; it has none."],
  [{ promptName: "toString" }, matryoshka, "prompt_name: m has no such prompt; it has: query."],
  [{ prompt: "p".repeat(101) }, plain, "prompt: A prompt has at most 100 characters."],
  [{ prompt: "\ud800" }, plain, "invalid_unicode prompt"],
  [{ dimensions: 9 }, plain, "dimensions: m has 8 dimensions; ask for 1 to 8."],
  [{ dimensions: 0 }, plain, "dimensions: m has 8 dimensions; ask for 1 to 8."],
  [{ dimensions: 1.5 }, plain, "dimensions: m has 8 dimensions; ask for 1 to 8."],
  [{ dimensions: Number.NaN }, plain, "dimensions: m has 8 dimensions; ask for 1 to 8."],
  [{ dimensions: 3 }, matryoshka, "dimensions: The dimensions of m are one of 4, 2, 8."],
  [{ promptName: "query" }, undefined, "starting undefined"],
  [{ dimensions: 4 }, undefined, "starting undefined"],
])("%j is refused, naming the field and what there is", (options, info, refusal) => {
  expect(refusalOf(options, info)).toBe(refusal);
});
