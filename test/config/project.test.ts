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
  expect(readProject("p", folder, {}).routes).toEqual(["a/*", "b/*", "c/*", "d/*"]);
});

test("a folder of functions stands above main, which wrangler alone needs then", () => {
  write("wrangler.toml", 'main = "w.js"\n[vars]\nA = "1"\nB = { c = 2 }\n');
  expect(readProject("p", folder, {})).toMatchObject({
    scriptPath: path.join(folder, "w.js"),
    functions: undefined,
    bindings: { A: "1", B: { c: 2 } },
  });
  mkdirSync(path.join(folder, "functions"));
  expect(readProject("p", folder, {})).toMatchObject({
    scriptPath: undefined,
    functions: path.join(folder, "functions"),
  });
});

test.each([
  ["no file", undefined, /^projects\.p: .* has no wrangler\.toml, \.json or \.jsonc\.$/],
  ["nothing to run", 'name = "p"', /no `main`, and no folder functions/],
  ["a route that is none", 'main = "w.js"\nroutes = [7]', /wrangler\.toml: routes\.0: /],
])("%s is named", (_case, toml, message) => {
  if (toml !== undefined) write("wrangler.toml", toml);
  expect(() => readProject("p", folder, {})).toThrow(message);
});

test("JSON may have comments and commas at the end, and what is no JSON is named with its place", () => {
  write("wrangler.jsonc", '{ // x\n "main": "w.js", "routes": ["a/*"], }');
  expect(readProject("p", folder, {}).routes).toEqual(["a/*"]);
  write("wrangler.json", '{\n "main": }');
  expect(() => readProject("p", folder, {})).toThrow(/wrangler\.json:2:10: not JSON: ValueExpected\.$/);
});

test("a file that cannot be read is named", () => {
  mkdirSync(path.join(folder, "wrangler.toml"));
  expect(() => readProject("p", folder, {})).toThrow(`${path.join(folder, "wrangler.toml")}: not a file.`);
});

test("every binding that lives in workerd is known by its name", () => {
  const local = { main: "w.js", vars: { A: "1" }, ai: { binding: "MODEL" }, triggers: { crons: ["* * * * *"] } };
  write("wrangler.json", JSON.stringify(local));
  expect(readProject("p", folder, {})).toMatchObject({ ai: "MODEL", crons: ["* * * * *"], local: undefined });
  const bound = {
    ...local,
    kv_namespaces: [{ binding: "KV", id: "k" }],
    d1_databases: [{ binding: "DB" }],
    r2_buckets: [{ binding: "BUCKET" }],
    queues: { producers: [{ binding: "JOBS", queue: "jobs" }] },
    durable_objects: { bindings: [{ name: "COUNTER", class_name: "Counter", script_name: "other" }] },
    version_metadata: { binding: "VERSION" },
  };
  write("wrangler.json", JSON.stringify(bound));
  const names = readProject("p", folder, {}).local?.names.toSorted();
  expect(names).toEqual(["BUCKET", "COUNTER", "DB", "JOBS", "KV", "VERSION"]);
  write("wrangler.json", JSON.stringify({ ...local, queues: { consumers: [{ queue: "jobs" }] } }));
  expect(readProject("p", folder, {}).local?.names).toEqual([]);
});

test("CLOUDFLARE_ENV chooses an environment, which takes over routes and crons, and no variable and no binding", () => {
  write(
    "wrangler.toml",
    'main = "w.js"\nroutes = ["a/*"]\n[vars]\nA = "1"\n[triggers]\ncrons = ["0 0 * * *"]\n[[kv_namespaces]]\nbinding = "KV"\n[env.x]\nmain = "x.js"\n[env.x.vars]\nB = "2"\n',
  );
  expect(readProject("p", folder, { CLOUDFLARE_ENV: "x" })).toMatchObject({
    scriptPath: path.join(folder, "x.js"),
    routes: ["a/*"],
    crons: ["0 0 * * *"],
    bindings: { B: "2" },
    local: undefined,
  });
});
