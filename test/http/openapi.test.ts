import { expect, test } from "vitest";
import { z } from "zod";
import { texts } from "../../functions/_texts.ts";
import { openApiDocument } from "../../runtime/http/openapi.ts";
import type { Route } from "../../runtime/routing/route-table.ts";
import { routeTo } from "../doubles/memory-app.ts";

const post = (pattern: string, schemas: Pick<Route, "body" | "answer"> = {}): Route => ({
  ...routeTo(pattern, () => new Response(), ["POST"]),
  ...schemas,
});

/** The paths of the functions alone. */
function pathsOf(routes: readonly Route[]): Record<string, never> {
  const all = openApiDocument({ version: "1.2.3", routes })["paths"] as Record<string, never>;
  const operations = Object.keys(openApiDocument({ version: "1.2.3", routes: [] })["paths"] as object);
  return Object.fromEntries(Object.entries(all).filter(([path]) => !operations.includes(path)));
}

test("a route is a path with its methods, its body and its answer", () => {
  const body = z.object({ texts, model: z.string().optional() });
  expect(pathsOf([post("/embed", { body, answer: z.array(z.number()) })])).toMatchObject({
    "/embed": {
      post: {
        requestBody: {
          required: true,
          content: {
            "application/json": {
              schema: {
                type: "object",
                properties: { texts: { type: "array", items: { type: "string" }, minItems: 1, maxItems: 2_048 } },
                required: ["texts"],
              },
            },
          },
        },
        responses: { "200": { content: { "application/json": { schema: { type: "array" } } } }, default: {} },
      },
    },
  });
});

test("what the file name leaves open is a parameter", () => {
  expect(pathsOf([post("/accounts/[id]/run/[[model]]")])).toMatchObject({
    "/accounts/{id}/run/{model}": { parameters: [{ name: "id", in: "path", required: true }, { name: "model" }] },
  });
});

test("a function that lists no methods is left out", () => {
  expect(pathsOf([routeTo("/anything", () => new Response())])).toEqual({});
});

test("a schema that cannot be written down allows anything", () => {
  expect(pathsOf([post("/x", { body: z.custom(() => true) })])).toHaveProperty(
    ["/x", "post", "requestBody", "content", "application/json", "schema"],
    {},
  );
});

test("the version is embedge's", () => {
  expect(openApiDocument({ version: "1.2.3", routes: [] })).toMatchObject({ info: { version: "1.2.3" } });
});
