import { describe, expect, test } from "vitest";
import { createRouteTable, type Route, RouteConflictError } from "../../runtime/routing/route-table.ts";

function route(pattern: string, file = `${pattern}.ts`): Route {
  return { pattern, file, methods: undefined, limits: {}, handler: { fetch: () => new Response() } };
}

function matchIn(patterns: readonly string[], path: string): { pattern: string; params: object } | undefined {
  const found = createRouteTable(patterns.map((pattern) => route(pattern))).match(path);
  return found && { pattern: found.route.pattern, params: { ...found.params } };
}

describe("the most specific route wins", () => {
  const patterns = ["/[[rest]]", "/api/[id]", "/api/[[rest]]", "/api/me", "/api/[id]/edit", "/"];

  test.each([
    ["/", "/", {}],
    ["/api/me", "/api/me", {}],
    ["/api/7", "/api/[id]", { id: "7" }],
    ["/api/7/edit", "/api/[id]/edit", { id: "7" }],
    ["/api/7/more", "/api/[[rest]]", { rest: ["7", "more"] }],
    ["/api", "/api/[[rest]]", { rest: [] }],
    ["/other", "/[[rest]]", { rest: ["other"] }],
  ])("%s is answered by %s", (path, pattern, params) => {
    expect(matchIn(patterns, path)).toEqual({ pattern, params });
  });

  test("in whatever order the files come", () => {
    expect(matchIn(patterns.toReversed(), "/api/7")?.pattern).toBe("/api/[id]");
  });

  test("a file of the folder's own name comes before its catch-all", () => {
    expect(matchIn(["/files/[[path]]", "/files"], "/files")?.pattern).toBe("/files");
  });

  test("a dead end is left for the next route", () => {
    expect(matchIn(["/a/[id]/x", "/[b]/c"], "/a/c")).toEqual({ pattern: "/[b]/c", params: { b: "a" } });
  });
});

describe("a path has one form (H43)", () => {
  const patterns = ["/v1/embeddings", "/models/[id]", "/files/[[path]]"];

  test.each([
    "//v1/embeddings",
    "/v1//embeddings",
    "/v1/embeddings/",
    "/v1/%65mbeddings",
    "/V1/embeddings",
    "/models/",
    "/models/a/b",
    "/models/%00",
    "/models/%zz",
    "/models/%ff",
    "/models/..%2f..%2fx",
    "/models/..%5cx",
    "/files/a//b",
    "/files/a/",
    "/files/..%2fx",
  ])("%s is not found", (path) => {
    expect(matchIn(patterns, path)).toBeUndefined();
  });

  test.each([
    ["/models/%40cf%2Fbaai%2Fbge-small", { id: "@cf/baai/bge-small" }],
    ["/models/gr%C3%BC%C3%9Fe", { id: "grüße" }],
    ["/models/__proto__", { id: "__proto__" }],
    ["/models/v1.5", { id: "v1.5" }],
  ])("the parameter in %s is decoded", (path, params) => {
    expect(matchIn(patterns, path)?.params).toEqual(params);
  });
});

describe("two files for the same paths (F16)", () => {
  test.each([
    ["/a", "/a"],
    ["/x/[id]", "/x/[name]"],
    ["/x/[[a]]", "/x/[[b]]"],
  ])("%s and %s are refused, and both files are named", (first, second) => {
    const create = (): unknown => createRouteTable([route(first, "one.ts"), route(second, "two.ts")]);
    expect(create).toThrow(RouteConflictError);
    expect(create).toThrow(/one\.ts and two\.ts/);
  });

  test("[id] and [[id]] are two different things", () => {
    expect(createRouteTable([route("/x/[id]"), route("/x/[[id]]")]).routes).toHaveLength(2);
  });
});

test("a parameter named __proto__ is an ordinary name (S09, S19)", () => {
  const found = createRouteTable([route("/x/[__proto__]")]).match("/x/1");
  expect(Object.entries(found?.params ?? {})).toEqual([["__proto__", "1"]]);
  expect("polluted" in {}).toBe(false);
});
