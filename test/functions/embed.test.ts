import { describe, expect, test } from "vitest";
import * as embed from "../../functions/api/v1/embed.ts";
import { AppError } from "../../runtime/errors.ts";
import { createMemoryApp, errorOf, postJson, routeOf } from "../doubles/memory-app.ts";
import { createMemoryEmbedder, MODEL, REVISION, vectorOf } from "../doubles/memory-embedder.ts";

const PATH = "/api/v1/embed";
const embedder = createMemoryEmbedder();
const app = createMemoryApp({ embedder, routes: [routeOf(PATH, embed)] });
const post = (body: unknown): Promise<Response> => Promise.resolve(app.request(PATH, postJson(body)));

/** A body as it stands, with any content type or none. */
function send(body: string | Uint8Array<ArrayBuffer>, contentType?: string): Promise<Response> {
  const headers = new Headers(contentType === undefined ? {} : { "content-type": contentType });
  const bytes = typeof body === "string" ? new TextEncoder().encode(body) : body;
  return Promise.resolve(app.request(PATH, { method: "POST", body: bytes, headers }));
}

describe("POST /api/v1/embed", () => {
  test("answers one vector per text, in order, with the model that ran", async () => {
    const response = await post({ texts: ["one", "two"] });
    const answer = (await response.json()) as { embeddings: number[][]; usage: { duration_ms: number } };
    expect(answer).toEqual({
      embeddings: expect.any(Array),
      model: MODEL,
      revision: REVISION,
      dimension: 4,
      usage: { total_tokens: 10, duration_ms: expect.any(Number) },
    });
    expect(answer.embeddings.map((row) => Float32Array.from(row))).toEqual([vectorOf("one", 4), vectorOf("two", 4)]);
    expect(answer.usage.duration_ms).toBeGreaterThanOrEqual(0);
  });

  test("names the texts that were cut", async () => {
    const answer = (await (await post({ texts: ["short", "x".repeat(21)] })).json()) as { truncated: number[] };
    expect(answer.truncated).toEqual([1]);
  });

  test("hands model, pooling and normalisation on", async () => {
    await post({ texts: ["a"], model: "mine", pooling: "cls", normalize: false });
    expect(embedder.calls.at(-1)).toMatchObject({ model: "mine", pooling: "cls", normalize: false });
  });

  test("hands prompt, dimensions and truncation side on", async () => {
    await post({ texts: ["a"], prompt_name: "query", dimensions: 3, truncation_side: "left" });
    expect(embedder.calls.at(-1)).toMatchObject({ promptName: "query", dimensions: 3, truncationSide: "left" });
    await post({ texts: ["a"], prompt: "query: ", prompt_name: null });
    expect(embedder.calls.at(-1)).toMatchObject({ promptName: undefined, prompt: "query: " });
  });

  test("what the model cannot give is a 400 with the field's name", async () => {
    const refusing = createMemoryEmbedder({
      intercept: () => Promise.reject(new AppError("invalid_request", { param: "prompt_name" })),
    });
    const other = createMemoryApp({ embedder: refusing, routes: [routeOf(PATH, embed)] });
    const response = await other.request(PATH, postJson({ texts: ["a"], prompt_name: "x" }));
    expect(await errorOf(response)).toEqual({ status: 400, code: "invalid_request", param: "prompt_name" });
  });

  test("takes the default model from EMBEDDING_MODEL", async () => {
    const own = createMemoryEmbedder();
    const vars = { EMBEDDING_MODEL: "from-a-variable" };
    const other = createMemoryApp({ embedder: own, vars, routes: [routeOf(PATH, embed)] });
    await other.request(PATH, postJson({ texts: ["a"] }));
    await app.request(PATH, postJson({ texts: ["a"], model: null }));
    expect(own.calls.at(-1)?.model).toBe("from-a-variable");
    expect(embedder.calls.at(-1)?.model).toBe("@cf/baai/bge-base-en-v1.5");
  });

  test("splits 250 texts into runs of at most 100 and joins the rows in order", async () => {
    const texts = Array.from({ length: 250 }, (_, index) => (index === 201 ? "y".repeat(30) : `text ${index}`));
    const before = embedder.calls.length;
    const answer = (await (await post({ texts })).json()) as { embeddings: number[][]; truncated: number[] };
    expect(embedder.calls.slice(before).map((call) => call.texts.length)).toEqual([100, 100, 50]);
    expect(answer.embeddings.map((row) => Float32Array.from(row))).toEqual(texts.map((text) => vectorOf(text, 4)));
    expect(answer.truncated).toEqual([201]);
  });

  test("names a poison text of a later run by the client's own index, and aborts the other runs", async () => {
    const aborted: number[] = [];
    const failing = createMemoryEmbedder({
      intercept: (call) => {
        if (call.texts.includes("poison")) {
          return Promise.reject(new AppError("poison_input", { param: `texts[${call.texts.indexOf("poison")}]` }));
        }
        return new Promise((_, reject) => {
          call.signal.addEventListener("abort", () => {
            aborted.push(call.texts.length);
            reject(call.signal.reason);
          });
        });
      },
    });
    const other = createMemoryApp({ embedder: failing, routes: [routeOf(PATH, embed)] });
    const texts = Array.from({ length: 250 }, (_, index) => (index === 142 ? "poison" : "fine"));
    const response = await other.request(PATH, postJson({ texts }));
    expect(await errorOf(response)).toEqual({ status: 422, code: "poison_input", param: "texts[142]" });
    expect(aborted).toEqual([100, 50]);
  });

  test.each([
    ["queue_full", 429],
    ["no_worker", 503],
    ["model_not_found", 404],
  ] as const)("lets %s through as %i", async (code, status) => {
    const refusing = createMemoryEmbedder({ intercept: () => Promise.reject(new AppError(code)) });
    const other = createMemoryApp({ embedder: refusing, routes: [routeOf(PATH, embed)] });
    expect((await other.request(PATH, postJson({ texts: ["a"] }))).status).toBe(status);
  });
});

describe("what is no request to embed", () => {
  test.each([
    ["a number for texts (H02)", { texts: 5 }, "invalid_request", "texts"],
    ["no texts at all (H02)", {}, "invalid_request", "texts"],
    ["null for texts (H02)", { texts: null }, "invalid_request", "texts"],
    ["a number among the texts (H02)", { texts: ["a", 1] }, "invalid_request", "texts[1]"],
    ["a list for the model (H02)", { texts: ["a"], model: [] }, "invalid_request", "model"],
    ["an unknown pooling", { texts: ["a"], pooling: "max" }, "invalid_request", "pooling"],
    ["a word for normalize", { texts: ["a"], normalize: "yes" }, "invalid_request", "normalize"],
    ["a list of prompts", { texts: ["a"], prompt: ["b"] }, "invalid_request", "prompt"],
    ["a number as prompt's name", { texts: ["a"], prompt_name: 1 }, "invalid_request", "prompt_name"],
    ["no dimension (H40)", { texts: ["a"], dimensions: 0 }, "invalid_request", "dimensions"],
    ["the middle", { texts: ["a"], truncation_side: "middle" }, "invalid_request", "truncation_side"],
    ["a list for the body (H02)", [1], "invalid_request", null],
    ["an empty list (H03)", { texts: [] }, "empty_input", "texts"],
    ["2,049 texts (H04)", { texts: Array(2_049).fill("a") }, "too_many_inputs", "texts"],
    ["half of a surrogate pair (H17)", { texts: ["a", "\ud800"] }, "invalid_unicode", "texts[1]"],
  ])("%s is a 400", async (_, body, code, param) => {
    expect(await errorOf(await post(body))).toEqual({ status: 400, code, param });
  });

  test("a million wrong values cost one message (I8)", async () => {
    const response = await post({ texts: Array(200_000).fill(1) });
    expect(await errorOf(response)).toEqual({ status: 400, code: "too_many_inputs", param: "texts" });
  });

  test("`__proto__` and other odd keys change nothing (H19, S09)", async () => {
    const response = await send(
      '{"texts":["a"],"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}',
    );
    expect(response.status).toBe(200);
    expect(Object.keys(Object.prototype)).toEqual([]);
    expect("polluted" in {}).toBe(false);
  });

  test.each([
    ['{"texts":', 9],
    ["", undefined],
    ['\ufeff{"texts":["a"]}', 0],
    ['{"texts":["a"]}x', 15],
    ['{"texts":[hello]}', 10],
    ['{"texts":["é", oops]}', 16],
    ['{"texts":["a",]}', 14],
  ])("%j is no JSON, and the message names the byte alone (H01)", async (text, byte) => {
    const response = await send(text);
    const { error } = (await response.json()) as { error: { code: string; message: string } };
    expect([response.status, error.code]).toEqual([400, "invalid_json"]);
    expect(error.message).toBe(
      byte === undefined ? "The body is empty; it must be JSON." : `The body is not valid JSON at byte ${byte}.`,
    );
  });

  test("bytes that are no UTF-8 are refused, never replaced (H17)", async () => {
    const response = await send(new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x7d]));
    expect(await errorOf(response)).toMatchObject({ status: 400, code: "invalid_json" });
  });

  test("a million opening brackets are refused without a stack overflow (H15)", async () => {
    const wide = createMemoryApp({ routes: [routeOf(PATH, embed)], app: { bodyBytesMax: 2_000_000 } });
    const body = new TextEncoder().encode("[".repeat(1_000_000));
    expect(await errorOf(await wide.request(PATH, { method: "POST", body }))).toMatchObject({ code: "invalid_json" });
  });
});

describe("content types", () => {
  const body = '{"texts":["a"]}';

  test.each([undefined, "application/json", "application/json; charset=utf-8", "application/json;charset=UTF-8"])(
    "%s is taken as JSON",
    async (type) => {
      expect((await send(body, type)).status).toBe(200);
    },
  );

  test("what `curl -d` sends is taken as JSON", async () => {
    expect((await send(body, "application/x-www-form-urlencoded")).status).toBe(200);
  });

  test.each(["text/plain", "multipart/form-data; boundary=x", "application/json; charset=utf-16", "image/png"])(
    "%s is a 415 (H20)",
    async (type) => {
      expect(await errorOf(await send(body, type))).toMatchObject({ status: 415, code: "unsupported_media_type" });
    },
  );
});
