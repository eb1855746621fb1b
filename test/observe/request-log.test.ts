import { describe, expect, test } from "vitest";
import { createLog } from "../../runtime/observe/log.ts";
import { describeFailure, logRequest, type RequestLine } from "../../runtime/observe/request-log.ts";

const line: RequestLine = {
  id: "id-1",
  method: "POST",
  route: "/api/v1/embed",
  kind: "function",
  status: 200,
  ms: 4.123_456,
  error: undefined,
  embedded: { texts: 2, tokens: 9, queueMs: 0.5, batchMs: 3.333, models: [{ name: "m", revision: "r" }] },
};

/** The lines that a log at `level` writes, parsed. */
function linesOf(level: "debug" | "info", lines: readonly RequestLine[]): Record<string, unknown>[] {
  const written: string[] = [];
  const { logger } = createLog({ level, format: "json", destination: { write: (text) => void written.push(text) } });
  for (const each of lines) logRequest(logger, each);
  return written.map((text) => JSON.parse(text) as Record<string, unknown>);
}

describe("the line of a request", () => {
  test("has its numbers and the level as a word", () => {
    expect(linesOf("info", [line])).toEqual([
      {
        level: "info",
        time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
        id: "id-1",
        method: "POST",
        route: "/api/v1/embed",
        status: 200,
        ms: 4.12,
        model: "m",
        revision: "r",
        texts: 2,
        tokens: 9,
        queueMs: 0.5,
        batchMs: 3.33,
        msg: "request",
      },
    ]);
  });

  test("has the code of a failure, and no stack where nobody's code failed", () => {
    const error = { code: "poison_input", param: "texts[3]", cause: new Error("cause") };
    const [written] = linesOf("info", [{ ...line, status: 422, error }]);
    expect(written).toMatchObject({ level: "info", code: "poison_input", param: "texts[3]" });
    expect(written).not.toHaveProperty("stack");
  });

  test("is an error with the stack where a function failed (F01)", () => {
    const error = { code: "function_error", param: undefined, cause: new Error("why", { cause: new Error("deeper") }) };
    const [written] = linesOf("info", [{ ...line, status: 500, error }]);
    expect(written).toMatchObject({ level: "error", code: "function_error" });
    expect(written?.["stack"]).toMatch(/Error: why[\s\S]*request-log\.test\.ts[\s\S]*caused by: Error: deeper/);
  });

  test("of a probe or a scrape is seen at debug alone", () => {
    const probe: RequestLine = { ...line, kind: "operation", route: "/healthz" };
    expect(linesOf("info", [probe])).toEqual([]);
    expect(linesOf("debug", [probe])).toMatchObject([{ level: "debug", route: "/healthz" }]);
  });
});

describe("what was thrown", () => {
  test.each([
    ["a text, which may be a user's own (S13)", "CANARY", "a value of type string was thrown"],
    ["null", null, "a value of type null was thrown"],
    ["an object", { text: "CANARY" }, "a value of type object was thrown"],
  ])("is told by its type alone where it is %s", (_, thrown, told) => {
    expect(describeFailure(thrown)).toBe(told);
  });

  test("never breaks the log (F01)", () => {
    const hostile = Object.defineProperty(new Error("x"), "stack", {
      get: () => {
        throw new Error("from the getter");
      },
    });
    expect(describeFailure(hostile)).toBe("a value of type object was thrown");
  });

  test("is cut where it is endless", () => {
    const endless = new Error("x".repeat(100_000));
    endless.cause = endless;
    expect(describeFailure(endless)).toHaveLength(8_192);
  });
});
