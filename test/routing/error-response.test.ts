import { describe, expect, test } from "vitest";
import { AppError, type ErrorCode, errorCatalogue } from "../../runtime/errors.ts";
import { InferenceUpstreamError } from "../../runtime/routing/upstream-error.ts";
import { errorResponse, failureResponse, toAppError } from "../../runtime/routing/error-response.ts";

const headersOf = (code: ErrorCode, options?: ConstructorParameters<typeof AppError>[1]): Headers =>
  errorResponse(new AppError(code, options)).headers;

describe("the answer to a failure", () => {
  test.each(Object.keys(errorCatalogue) as ErrorCode[])("%s has the catalogue's status and envelope", async (code) => {
    const response = errorResponse(new AppError(code, { param: "x" }));
    const { status, type, meaning } = errorCatalogue[code];
    expect(response.status).toBe(status);
    expect(response.headers.get("content-type")).toBe("application/json");
    expect(await response.json()).toEqual({ error: { message: meaning, type, param: "x", code } });
  });

  test("says never where repeating cannot help", () => {
    expect(headersOf("invalid_json").get("x-should-retry")).toBe("false");
    expect(headersOf("function_error").get("x-should-retry")).toBe("false");
    expect(headersOf("internal_error").get("x-should-retry")).toBeNull();
  });

  test("says repeat for a deadline that passed in the queue, and for no other", () => {
    expect(headersOf("deadline_exceeded", { param: "queued" }).get("x-should-retry")).toBe("true");
    expect(headersOf("deadline_exceeded", { param: "in_flight" }).get("x-should-retry")).toBeNull();
  });

  test.each([
    [undefined, "1", "1000"],
    [0, "1", "1"],
    [1_500, "2", "1500"],
    [149.2, "1", "150"],
    [3_600_000, "60", "60000"],
    [Number.POSITIVE_INFINITY, "60", "60000"],
  ])("a wait of %s ms is told as %s s and %s ms (Q25)", (retryAfterMs, seconds, milliseconds) => {
    const headers = headersOf("queue_full", retryAfterMs === undefined ? {} : { retryAfterMs });
    expect([headers.get("retry-after"), headers.get("retry-after-ms")]).toEqual([seconds, milliseconds]);
  });

  test("holds none of the words that make LangChain give up a 429", () => {
    const { meaning } = errorCatalogue.queue_full;
    expect(meaning).not.toMatch(/quota|billing|out of credits|will reset at/i);
  });
});

describe("the failure behind what was thrown", () => {
  test("is an AppError itself (F02)", () => {
    const error = new AppError("queue_full", { retryAfterMs: 5 });
    expect(toAppError(error, "function_error")).toBe(error);
  });

  test("is the cause of an error of env.AI, in the words of the function where it gave some", () => {
    const thrown = new InferenceUpstreamError(new AppError("poison_input", { param: "text[3]" }));
    expect(toAppError(thrown, "function_error")).toMatchObject({ code: "poison_input", param: "text[3]" });
    Object.assign(thrown, { param: "input[103]" });
    expect(toAppError(thrown, "function_error")).toMatchObject({ code: "poison_input", param: "input[103]" });
  });

  const hostile = Object.defineProperty(new Error("x"), "cause", {
    get: () => {
      throw new Error("from the getter");
    },
  });
  const refusing = new Proxy(new Error("x"), {
    getPrototypeOf: () => {
      throw new Error("from the proxy");
    },
  });
  test.each([
    ["null", null],
    ["a string", "no"],
    ["a Response", new Response()],
    ["a frozen Error", Object.freeze(new Error("x"))],
    ["an error whose getter throws", hostile],
    ["a proxy that throws", refusing],
  ])("is the fallback for %s (F01)", (_, thrown) => {
    const error = toAppError(thrown, "function_error");
    expect(error.code).toBe("function_error");
    expect(error.message).toBe(errorCatalogue.function_error.meaning);
  });
});

test("a dialect chooses the words, and is told status and headers", async () => {
  const error = new AppError("queue_full", { retryAfterMs: 1_500 });
  const response = failureResponse(error, ({ status, code, headers }) => Response.json({ code }, { status, headers }));
  expect([response.status, response.headers.get("retry-after"), await response.json()]).toEqual([
    429,
    "2",
    { code: "queue_full" },
  ]);
});

test.each([
  [
    "throws",
    () => {
      throw new Error("a fault of the dialect");
    },
  ],
  ["gives no Response", () => "text" as unknown as Response],
])("where a dialect's answer to a failure %s, the client gets the host's own", async (_, answer) => {
  const response = failureResponse(new AppError("no_worker"), answer);
  expect([response.status, await response.json()]).toMatchObject([503, { error: { code: "no_worker" } }]);
});
