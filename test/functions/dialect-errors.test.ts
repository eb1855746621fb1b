import { describe, expect, test } from "vitest";
import { AppError } from "../../runtime/errors.ts";
import { postJson } from "../doubles/memory-app.ts";
import { createMemoryEmbedder, MODEL } from "../doubles/memory-embedder.ts";
import { createMemoryFunctions, modelInfo } from "../doubles/memory-functions.ts";

/** The next runs fail with these. */
const failures: AppError[] = [];
const embedder = createMemoryEmbedder({
  dimensions: 8,
  info: () => modelInfo(),
  intercept: () => {
    const failure = failures.shift();
    return failure && Promise.reject(failure);
  },
});
const app = await createMemoryFunctions({ embedder, app: { bodyBytesMax: 10_000 } });

interface Dialect {
  readonly path: string;
  /** A request for the vector of one text. */
  readonly body: (model: string, text: unknown) => unknown;
  /** Where its clients read the sentence, and what else must be there. */
  readonly messageIn: (answer: never) => unknown;
}

const openAi: Dialect = {
  path: "/v1/embeddings",
  body: (model, input) => ({ model, input }),
  messageIn: ({ error, detail }: { error: { message: string }; detail: string }) =>
    error.message === detail ? detail : undefined,
};
const dialects: Readonly<Record<string, Dialect>> = {
  OpenAI: openAi,
  Ollama: {
    path: "/api/embed",
    body: (model, input) => ({ model, input }),
    messageIn: ({ error }: { error: string }) => error,
  },
  "Ollama, the older way": {
    path: "/api/embeddings",
    body: (model, prompt) => ({ model, prompt }),
    messageIn: ({ error }: { error: string }) => error,
  },
  Cohere: {
    path: "/v2/embed",
    body: (model, text) => ({ model, texts: [text] }),
    messageIn: ({ message }: { message: string }) => message,
  },
  TEI: {
    path: "/embed",
    body: (_, inputs) => ({ inputs }),
    messageIn: ({ error, error_type: type }: { error: string; error_type: string }) =>
      ["Validation", "Overloaded", "Backend"].includes(type) ? error : undefined,
  },
  "Workers AI": {
    path: "/client/v4/accounts/a1/ai/run/memory-model",
    body: (_, text) => ({ text }),
    messageIn: ({ success, result, errors: [error] }: WorkersAiError) =>
      success || result !== null || !Number.isInteger(error?.code) ? undefined : error?.message,
  },
};

interface WorkersAiError {
  readonly success: boolean;
  readonly result: unknown;
  readonly errors: readonly { readonly code: number; readonly message: string }[];
}

const table = Object.entries(dialects);

describe.each(table)("a failure in the words of %s", (name, { path, body, messageIn }) => {
  const post = async (content: unknown): Promise<{ status: number; headers: Headers; message: unknown }> => {
    const response = await app.request(path, postJson(content));
    return { status: response.status, headers: response.headers, message: messageIn((await response.json()) as never) };
  };

  test("a full queue: 429 with both ways to say when to come again", async () => {
    failures.push(new AppError("queue_full", { retryAfterMs: 1_500 }));
    const { status, headers, message } = await post(body(MODEL, "a"));
    expect([status, headers.get("retry-after"), headers.get("retry-after-ms")]).toEqual([429, "2", "1500"]);
    expect(message).toBe("The queue is full; nothing was started.");
  });

  test("a host without workers: 503 that says when to come again, for TEI 429", async () => {
    failures.push(new AppError("no_worker"));
    const { status, headers } = await post(body(MODEL, "a"));
    expect([status, headers.get("retry-after")]).toEqual([name === "TEI" ? 429 : 503, "1"]);
  });

  test("a deadline: 504", async () => {
    failures.push(new AppError("deadline_exceeded", { param: "queued" }));
    const { status, headers, message } = await post(body(MODEL, "a"));
    expect([status, headers.get("x-should-retry")]).toEqual([504, "true"]);
    expect(message).toMatch(/^The deadline passed/);
  });

  test("a body past the limit: 413", async () => {
    const { status, message } = await post(body(MODEL, "a".repeat(20_000)));
    expect([status, message]).toEqual([413, "The body has more than 10000 bytes."]);
  });

  test("a text that is a number: 400", async () => {
    const { status, headers, message } = await post(body(MODEL, 5));
    expect([status, headers.get("x-should-retry")]).toEqual([400, "false"]);
    expect(message).toEqual(expect.any(String));
  });

  test("half of a surrogate pair: 400", async () => {
    expect(await post(body(MODEL, "\ud83d"))).toMatchObject({ status: 400, message: expect.any(String) });
  });

  test("no JSON: 400", async () => {
    const response = await app.request(path, { ...postJson({}), body: "{" });
    expect([response.status, messageIn((await response.json()) as never)]).toEqual([
      400,
      "The body is not valid JSON at byte 1.",
    ]);
  });

  test("another method: 405", async () => {
    const response = await app.request(path, { method: "PUT" });
    expect([response.status, messageIn((await response.json()) as never)]).toEqual([405, expect.any(String)]);
    expect(response.headers.get("allow")).toBe("POST, OPTIONS");
  });
});

test.each(table.filter(([name]) => name !== "TEI"))("a model that is not there is a 404 in %s", async (_, dialect) => {
  const path = dialect.path.replace("memory-model", "unknown");
  const response = await app.request(path, postJson(dialect.body("unknown", "a")));
  expect([response.status, dialect.messageIn((await response.json()) as never)]).toEqual([404, expect.any(String)]);
});

test("Ollama's tools find `not found` in the answer to an unknown model", async () => {
  const response = await app.request("/api/embed", postJson({ model: "unknown", input: "a" }));
  expect(await response.text()).toContain("not found");
});
