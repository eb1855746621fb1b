import * as fc from "fast-check";
import { z } from "zod";
import { body as embedBody } from "../../functions/api/v1/embed.ts";
import { body as similarityBody } from "../../functions/api/v1/similarity.ts";
import { body as embeddingsBody } from "../../functions/v1/embeddings.ts";

export interface FuzzRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

type JsonSchema = {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly items?: JsonSchema;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly JsonSchema[];
};

const routes = [
  { path: "/api/v1/embed", schema: schemaOf(embedBody) },
  { path: "/api/v1/similarity", schema: schemaOf(similarityBody) },
  { path: "/v1/embeddings", schema: schemaOf(embeddingsBody) },
];

const text = fc.oneof(
  fc.string({ unit: "binary", maxLength: 40 }),
  fc.constantFrom("", "\0", "\ud800", "__proto__", "a ".repeat(600), "\u202e", "é", "é"),
);

/** Requests for the routes of this repository: bodies that fit their schemas, most with a field or two spoilt, and headers alike. */
export const fuzzRequests: fc.Arbitrary<FuzzRequest> = fc.constantFrom(...routes).chain(({ path, schema }) =>
  fc.record({
    method: fc.oneof({ weight: 20, arbitrary: fc.constant("POST") }, fc.constantFrom("GET", "PUT", "HEAD", "DELETE")),
    path: fc.oneof(
      { weight: 20, arbitrary: fc.constant(path) },
      fc.constantFrom(
        "/readyz",
        "/metrics",
        "/",
        "//v1/embeddings",
        "/v1/%65mbeddings",
        "/v1/embeddings/",
        "/%00",
        "/..%2f",
      ),
    ),
    headers: fc.oneof(
      { weight: 3, arbitrary: fc.constant({ "content-type": "application/json" }) },
      { weight: 1, arbitrary: headers() },
    ),
    body: fc.oneof(
      { weight: 6, arbitrary: spoilt(valueOf(schema)).map((value) => JSON.stringify(value) ?? "") },
      fc.json({ maxDepth: 3 }),
      fc.string({ maxLength: 60 }),
    ),
  }),
);

function headers(): fc.Arbitrary<Record<string, string>> {
  return fc.record(
    {
      "content-type": fc.constantFrom("application/json", "application/json; charset=utf-8", "text/plain", "a/b"),
      "x-request-timeout-ms": fc.constantFrom("1", "0", "-1", "NaN", "1e308", "abc", "5000", "99999999999"),
      "x-request-id": fc.stringMatching(/^[ -~]{0,80}$/),
      accept: fc.constantFrom("*/*", "application/json", "text/html"),
      origin: fc.constantFrom("null", "https://evil.example", "http://localhost"),
    },
    { requiredKeys: ["content-type"] },
  );
}

function schemaOf(body: z.ZodType): JsonSchema {
  return z.toJSONSchema(body, { io: "input", unrepresentable: "any" }) as JsonSchema;
}

/** Values that a schema allows. */
function valueOf(schema: JsonSchema): fc.Arbitrary<unknown> {
  if (schema.enum !== undefined) return fc.constantFrom(...schema.enum);
  if (schema.anyOf !== undefined) return fc.oneof(...schema.anyOf.map(valueOf));
  switch (schema.type) {
    case "string":
      return text;
    case "integer":
    case "number":
      return fc.oneof(fc.integer({ min: 0, max: 9 }), fc.integer(), fc.double());
    case "boolean":
      return fc.boolean();
    case "null":
      return fc.constant(null);
    case "array":
      return fc.array(valueOf(schema.items ?? {}), { maxLength: 5 });
    case "object": {
      const fields = Object.entries(schema.properties ?? {}).map(([name, field]) => [name, valueOf(field)] as const);
      return fc.record(Object.fromEntries(fields), { requiredKeys: [...(schema.required ?? [])] });
    }
    default:
      return fc.oneof(fc.array(text, { maxLength: 4 }), text);
  }
}

/** The same with any value in place of some fields, and some that nobody knows. */
function spoilt(values: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> {
  return fc
    .tuple(
      values,
      fc.dictionary(fc.constantFrom("texts", "input", "model", "dimensions", "x", "__proto__"), fc.jsonValue(), {
        maxKeys: 2,
      }),
      fc.boolean(),
    )
    .map(([value, others, isKept]) => (isKept || typeof value !== "object" ? value : { ...value, ...others }));
}
