import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeEach, expect, test } from "vitest";
import { readProject } from "../../runtime/config/project.ts";

const parent = mkdtempSync(path.join(os.tmpdir(), "embedge-project-"));
afterAll(() => rmSync(parent, { recursive: true, force: true }));

let folder = parent;
beforeEach(() => {
  folder = mkdtempSync(path.join(parent, "x"));
});

const write = (name: string, text: string): void => writeFileSync(path.join(folder, name), text);

test("routes are read in each form that wrangler knows", () => {
  write(
    "wrangler.toml",
    'main = "w.js"\nroute = "a/*"\nroutes = ["b/*", { pattern = "c/*", zone_name = "c" }, { pattern = "d", custom_domain = true }]\n',
  );
  expect(readProject("p", folder).routes).toEqual(["a/*", "b/*", "c/*", "d/*"]);
});

test("a folder of functions stands above main, which wrangler alone needs then", () => {
  write("wrangler.toml", 'main = "w.js"\n[vars]\nA = "1"\nB = { c = 2 }\n');
  expect(readProject("p", folder)).toMatchObject({
    scriptPath: path.join(folder, "w.js"),
    functions: undefined,
    bindings: { A: "1", B: { c: 2 } },
  });
  mkdirSync(path.join(folder, "functions"));
  expect(readProject("p", folder)).toMatchObject({ scriptPath: undefined, functions: path.join(folder, "functions") });
});

test.each([
  ["no file", undefined, /^projects\.p: .* has no wrangler\.toml and no wrangler\.json\.$/],
  ["nothing to run", 'name = "p"', /no `main`, and no folder functions/],
  ["a route that is none", 'main = "w.js"\nroutes = [7]', /wrangler\.toml: routes\.0: /],
])("%s is named", (_case, toml, message) => {
  if (toml !== undefined) write("wrangler.toml", toml);
  expect(() => readProject("p", folder)).toThrow(message);
});

test("wrangler.json is read as well, and one that is no JSON is named", () => {
  write("wrangler.json", '{ "main": "w.js", "routes": ["a/*"] }');
  expect(readProject("p", folder).routes).toEqual(["a/*"]);
  write("wrangler.json", "// x\n{}");
  expect(() => readProject("p", folder)).toThrow(/wrangler\.json: not JSON; comments/);
});
