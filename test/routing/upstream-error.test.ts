import { describe, expect, test } from "vitest";
import { AppError, type ErrorCode, errorCatalogue } from "../../runtime/errors.ts";
import {
  InferenceUpstreamError,
  readUpstreamError,
  upstreamCodeOf,
  upstreamErrorBody,
} from "../../runtime/routing/upstream-error.ts";

/** What workerd's class makes of a body (`_parseError` of its module ai-api). */
function asGenuineClass(body: object): Error {
  const { internalCode, name, description, errors } = body as {
    internalCode?: number;
    name?: string;
    description?: string;
    errors?: { code: number; message: string }[];
  };
  const text =
    internalCode === undefined ? `${errors?.[0]?.code}: ${errors?.[0]?.message}` : `${internalCode}: ${description}`;
  return Object.assign(new Error(text), { name: name ?? "InferenceUpstreamError" });
}

const codes = Object.keys(errorCatalogue) as ErrorCode[];

describe("a failure on its way through workerd's class", () => {
  test.each(codes)("%s comes out as it went in", (code) => {
    const error = new AppError(code, { message: "What: [happened]", param: "text[3]", retryAfterMs: 1_200 });
    expect(readUpstreamError(asGenuineClass(upstreamErrorBody(error)))).toMatchObject({
      code,
      message: "What: [happened]",
      param: "text[3]",
      retryAfterMs: 1_200,
    });
  });

  test("is the very error that the class in process throws", () => {
    for (const code of codes) {
      const error = new AppError(code);
      const { name, message } = new InferenceUpstreamError(error);
      expect(asGenuineClass(upstreamErrorBody(error))).toMatchObject({ name, message });
    }
  });

  test("says no more than there is", () => {
    const found = readUpstreamError(asGenuineClass(upstreamErrorBody(new AppError("queue_full"))));
    expect(found).toMatchObject({ code: "queue_full", param: undefined, retryAfterMs: undefined });
  });
});

describe("a failure of Cloudflare's own service", () => {
  const thrown = (name: string, message: string): unknown => Object.assign(new Error(message), { name });

  test.each([
    [5006, "invalid_request"],
    [5004, "poison_input"],
    [5007, "model_not_found"],
    [3006, "input_too_long"],
    [3007, "deadline_exceeded"],
    [3008, "client_gone"],
    [3040, "queue_full"],
    [3043, "internal_error"],
  ] as const)("%i is %s", (number, code) => {
    const found = readUpstreamError(thrown("InferenceUpstreamError", `${number}: Capacity is [short, text[1]]`));
    expect(found).toMatchObject({ code, message: "Capacity is [short, text[1]]" });
    expect(upstreamCodeOf(new AppError(code)).code).toBe(number);
  });

  test("with another code, or of another class, is none of ours", () => {
    expect(readUpstreamError(thrown("InferenceUpstreamError", "9999: new"))).toBeUndefined();
    expect(readUpstreamError(thrown("InferenceUpstreamError", "no code"))).toBeUndefined();
    expect(readUpstreamError(thrown("Error", "3040: mine"))).toBeUndefined();
    expect(readUpstreamError("3040: text")).toBeUndefined();
  });

  test("a connection that workerd lost is a service that is gone", () => {
    const lost = Object.assign(new Error("Network connection lost."), { retryable: true });
    expect(readUpstreamError(lost)).toMatchObject({ code: "no_worker" });
  });
});
