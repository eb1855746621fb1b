import { describe, expect, test } from "vitest";
import { createModelNames } from "../../runtime/embedder/model-names.ts";
import { AppError } from "../../runtime/errors.ts";

describe("model names", () => {
  const names = createModelNames([{ name: "all-MiniLM-L6-v2", aliases: [] }], {
    "@cf/baai/bge-base-en-v1.5": "default",
    small: "all-MiniLM-L6-v2",
    other: "some-model-that-is-not-here",
  });

  test("a model answers to its own name and to its aliases", () => {
    expect(names.resolve("all-MiniLM-L6-v2")).toBe("all-MiniLM-L6-v2");
    expect(names.resolve("@cf/baai/bge-base-en-v1.5")).toBe("all-MiniLM-L6-v2");
    expect(names.resolve("small")).toBe("all-MiniLM-L6-v2");
    expect(names.aliasesOf("all-MiniLM-L6-v2")).toEqual(["@cf/baai/bge-base-en-v1.5", "small"]);
  });

  test.each(["gpt-4", "other", "default", "../../etc/passwd", "http://127.0.0.1:1/x", "__proto__"])(
    "S04 S05 %s is an error that lists what there is, never another model",
    (name) => {
      expect(() => names.resolve(name)).toThrow(AppError);
      expect(() => names.resolve(name)).toThrow(/all-MiniLM-L6-v2, @cf\/baai\/bge-base-en-v1.5, small/);
    },
  );
});

describe("names of several models", () => {
  const models = [
    { name: "first", aliases: ["@cf/first"] },
    { name: "second", aliases: ["@cf/second", "first", "@cf/first"] },
  ] as const;

  test("each answers to its own name, which no alias of another takes away", () => {
    const names = createModelNames(models, {});
    expect(["first", "@cf/first", "second", "@cf/second"].map((name) => names.resolve(name))).toEqual([
      "first",
      "first",
      "second",
      "second",
    ]);
    expect(names.aliasesOf("second")).toEqual(["@cf/second"]);
  });

  test("configured aliases may point to any of them, by any of its names, and are stronger", () => {
    const names = createModelNames(models, { mine: "@cf/second", "@cf/first": "second", second: "default" });
    expect([names.resolve("mine"), names.resolve("@cf/first"), names.resolve("second")]).toEqual([
      "second",
      "second",
      "first",
    ]);
  });
});
