import { createHash } from "node:crypto";
import { expect } from "vitest";
import { FAKE_DIMENSIONS, fakeVector } from "../doubles/fake-answer.ts";

/** What of an answer is compared. Headers that are not named may differ: each server adds its own. */
export interface Expected {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string | null>>;
  readonly text?: string;
  readonly json?: unknown;
}

interface FailureFields {
  readonly message?: unknown;
  readonly param?: string;
}

export type Case = readonly [title: string, path: string, init: RequestInit, expected: Expected];

const MODEL = "@cf/baai/bge-base-en-v1.5";

export const failure = (code: string, fields: FailureFields = {}): object => ({
  error: { message: expect.any(String), type: expect.any(String), param: null, ...fields, code },
});
const functionError: Expected = {
  status: 500,
  headers: { "content-type": "application/json", "x-should-retry": "false" },
  json: failure("function_error", { message: "The function threw; the log has the details under the request id." }),
};
const echoed = (fields: object): Expected => ({
  status: 200,
  json: {
    method: "GET",
    pathname: "/echo",
    search: "",
    headers: { "content-type": null, cookie: null, "x-custom": null },
    body: "",
    ...fields,
  },
});
export const embed = (input: unknown, model: string = MODEL): RequestInit => ({
  method: "POST",
  body: JSON.stringify({ model, input }),
});
const cohere = (fields: object): RequestInit => ({
  method: "POST",
  body: JSON.stringify({ model: MODEL, texts: ["one"], ...fields }),
  headers: { "content-type": "application/json" },
});
const inCohere = (message: unknown): object => ({ id: expect.any(String), message });
const large = "a".repeat(3_000_000);

export const cases: readonly Case[] = [
  ["a route", "/echo", {}, echoed({})],
  ["the query is the function's, as it was sent", "/echo?a=%20+&a=2&b", {}, echoed({ search: "?a=%20+&a=2&b" })],
  [
    "method, headers and body arrive",
    "/echo",
    { method: "PUT", headers: { "x-custom": "a  b", "content-type": "text/plain" }, body: "grüße" },
    echoed({
      method: "PUT",
      headers: { "content-type": "text/plain", cookie: null, "x-custom": "a  b" },
      body: "grüße",
    }),
  ],
  [
    "a header beyond ASCII",
    "/echo",
    { headers: { "x-custom": "välue" } },
    echoed({ headers: { "content-type": null, cookie: null, "x-custom": "välue" } }),
  ],
  ["an empty body is empty", "/echo", { method: "POST", body: new Uint8Array() }, echoed({ method: "POST" })],
  ["HEAD runs the function as GET and sends no body", "/echo", { method: "HEAD" }, { status: 200, text: "" }],
  [
    "OPTIONS is the function's own without a list of methods",
    "/echo",
    { method: "OPTIONS" },
    echoed({ method: "OPTIONS" }),
  ],

  ["a parameter", "/things/7", {}, { status: 200, headers: { "x-thing": "1" }, json: { id: "7" } }],
  ["a fixed name before a parameter", "/things/special", {}, { status: 200, text: "special" }],
  ["a parameter is decoded", "/things/a%20b%2Fc%25", {}, { status: 200, json: { id: "a b/c%" } }],
  ["a parameter beyond ASCII", "/things/%E2%9C%93", {}, { status: 200, json: { id: "✓" } }],
  ["a plus is a plus", "/things/a+b", {}, { status: 200, json: { id: "a+b" } }],
  ["half of a character", "/things/%E2%9C", {}, { status: 404, json: failure("not_found") }],
  ["an encoded step upwards", "/things/..%2Fecho", {}, { status: 404, json: failure("not_found") }],
  ["a NUL", "/things/%00", {}, { status: 404, json: failure("not_found") }],
  ["a fixed name is not decoded", "/%65cho", {}, { status: 404, json: failure("not_found") }],
  ["no slash at the end", "/things/7/", {}, { status: 404, json: failure("not_found") }],
  ["no slash doubled", "//echo", {}, { status: 404, json: failure("not_found") }],
  ["case counts", "/Echo", {}, { status: 404, json: failure("not_found") }],
  ["no route", "/nowhere", { method: "POST", body: "x" }, { status: 404, json: failure("not_found") }],
  ["what begins with _ is no route", "/_private", {}, { status: 404, json: failure("not_found") }],
  [
    "a method that is not listed",
    "/things/7",
    { method: "POST" },
    { status: 405, headers: { allow: "GET, DELETE, HEAD, OPTIONS" }, json: failure("method_not_allowed") },
  ],
  [
    "OPTIONS lists the methods",
    "/things/7",
    { method: "OPTIONS" },
    { status: 204, headers: { allow: "GET, DELETE, HEAD, OPTIONS" }, text: "" },
  ],
  ["HEAD where GET is listed", "/things/7", { method: "HEAD" }, { status: 200, headers: { "x-thing": "1" }, text: "" }],
  ["a rest of none", "/files", {}, { status: 200, json: { path: [] } }],
  ["a rest of three", "/files/a/b%2Fc/d.txt", {}, { status: 200, json: { path: ["a", "b/c", "d.txt"] } }],
  ["a Hono app", "/hono/square/7", {}, { status: 200, json: { square: 49 } }],
  ["a body to a Hono app", "/hono/text", { method: "POST", body: "up" }, { status: 201, text: "UP" }],
  ["what a Hono app does not know", "/hono/none", {}, { status: 404, text: "404 Not Found" }],

  ["a stream", "/stream", {}, { status: 200, headers: { "content-type": "text/plain" }, text: "one\ntwo\nthree\n" }],
  ["a large answer", "/large?bytes=3000000", {}, { status: 200, text: large }],
  [
    "a large body",
    "/large",
    { method: "POST", body: large },
    { status: 200, json: { bytes: large.length, sha256: createHash("sha256").update(large).digest("hex") } },
  ],
  [
    "a body past the limit",
    "/large",
    { method: "POST", body: "a".repeat(8_388_609) },
    { status: 413, json: failure("body_too_large", { message: "The body has more than 8388608 bytes." }) },
  ],
  [
    "a compressed body",
    "/large",
    { method: "POST", body: "x", headers: { "content-encoding": "gzip" } },
    { status: 415, json: failure("unsupported_content_encoding") },
  ],

  ["204", "/answers?no_content", {}, { status: 204, text: "" }],
  ["304", "/answers?not_modified", {}, { status: 304, headers: { etag: '"1"' }, text: "" }],
  ["418", "/answers?teapot", {}, { status: 418, text: "short and stout" }],
  [
    "a redirect is the client's to follow",
    "/answers?redirect",
    {},
    { status: 302, headers: { location: "https://example.com/elsewhere" }, text: "" },
  ],
  ["an empty text", "/answers?empty", {}, { status: 200, text: "" }],
  [
    "a request id of the client",
    "/echo",
    { headers: { "x-request-id": "mine_1" } },
    { status: 200, headers: { "x-request-id": "mine_1" } },
  ],
  [
    "the request id is not the function's to choose",
    "/answers?own_id",
    { headers: { "x-request-id": "ours" } },
    { status: 200, headers: { "x-request-id": "ours" } },
  ],

  ...[
    "throws",
    "throws_a_text",
    "throws_null",
    "throws_a_response",
    "throws_frozen",
    "throws_unreadable",
    "rejects",
    "returns_nothing",
    "returns_a_text",
  ].map((way): Case => [`a function that ${way.replaceAll("_", " ")} (F01, F09)`, `/fails?${way}`, {}, functionError]),
  ["a file without handler (F15)", "/no-handler", {}, { status: 503, json: failure("function_failed") }],
  [
    "a deadline (F03)",
    "/fails?never_ends",
    { headers: { "x-request-timeout-ms": "200" } },
    { status: 504, json: failure("deadline_exceeded", { param: "in_flight" }) },
  ],
  [
    "a deadline that is none",
    "/echo",
    { headers: { "x-request-timeout-ms": "soon" } },
    { status: 400, json: failure("invalid_request", { param: "x-request-timeout-ms" }) },
  ],

  [
    "vectors",
    "/embed",
    embed({ text: ["one", "two words"] }),
    {
      status: 200,
      json: {
        shape: [2, FAKE_DIMENSIONS],
        data: ["one", "two words"].map((text) => [...fakeVector(text)].map((value) => expect.closeTo(value, 7))),
        pooling: "mean",
        revision: "fake-revision",
        model: expect.stringMatching(/^embedge-/),
        tokens: [3, 4],
        truncated: [],
      },
    },
  ],
  [
    "an unknown model",
    "/embed",
    embed({ text: "a" }, "none"),
    {
      status: 404,
      json: failure("model_not_found", {
        param: "model",
        message: expect.stringContaining('There is no model "none" here.'),
      }),
    },
  ],
  [
    "a function's own deadline",
    "/limited",
    {},
    { status: 504, json: failure("deadline_exceeded", { param: "in_flight" }) },
  ],
  [
    "a request cannot ask for more than it",
    "/limited",
    { headers: { "x-request-timeout-ms": "60000" } },
    { status: 504, json: failure("deadline_exceeded", { param: "in_flight" }) },
  ],
  ["a body within a function's own limit", "/limited", { method: "POST", body: "a".repeat(10) }, { status: 200 }],
  [
    "a body beyond it",
    "/limited",
    { method: "POST", body: "a".repeat(11) },
    { status: 413, json: failure("body_too_large", { message: "The body has more than 10 bytes." }) },
  ],
  ["limits that are none", "/limits-wrong", {}, { status: 503, json: failure("function_failed") }],
  ["a file that handles events alone has no route", "/events", {}, { status: 404, json: failure("not_found") }],
  ["no text", "/embed", embed({ text: [] }), { status: 400, json: failure("empty_input", { param: "text" }) }],
  [
    "a number among the texts",
    "/embed",
    embed({ text: ["a", 5] }),
    { status: 400, json: failure("invalid_request", { param: "text[1]", message: "A text must be a string." }) },
  ],
  [
    "half of a surrogate pair",
    "/embed",
    embed({ text: ["a", "\ud83d"] }),
    { status: 400, json: failure("invalid_unicode", { param: "text[1]" }) },
  ],
  [
    "too many texts",
    "/embed",
    embed({ text: Array(101).fill("a") }),
    { status: 400, json: failure("too_many_inputs", { param: "text" }) },
  ],
  [
    "a text that the model cannot take",
    "/embed",
    embed({ text: ["fault:nan_row"] }),
    { status: 422, json: failure("poison_input", { param: "text[0]" }) },
  ],

  [
    "a dialect with the model's prompt for a purpose",
    "/dialect",
    cohere({ input_type: "search_query" }),
    {
      status: 200,
      json: expect.objectContaining({
        texts: ["one"],
        embeddings: { float: [[...fakeVector("query: one")].map((value) => expect.closeTo(value, 7))] },
      }),
    },
  ],
  [
    "a failure of env.AI in the words of a dialect",
    "/dialect",
    cohere({ model: "none" }),
    { status: 404, json: inCohere(expect.stringContaining('There is no model "none" here.')) },
  ],
  [
    "a text that the model cannot take, in the words of a dialect",
    "/dialect",
    cohere({ texts: ["fault:nan_row"] }),
    { status: 422, headers: { "x-should-retry": "false" }, json: inCohere(expect.any(String)) },
  ],
  [
    "a body past the limit, in the words of a dialect",
    "/dialect",
    { method: "POST", body: "a".repeat(8_388_609) },
    { status: 413, json: inCohere("The body has more than 8388608 bytes.") },
  ],
  [
    "a method that is not listed, in the words of a dialect",
    "/dialect",
    { method: "PUT" },
    { status: 405, headers: { allow: "POST, OPTIONS" }, json: inCohere(expect.any(String)) },
  ],
];
