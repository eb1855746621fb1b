import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, afterEach, beforeEach, expect, test } from "vitest";
import { unstable_getVarsForDev, unstable_readConfig } from "wrangler";
import { readLocalVars } from "../../runtime/config/local-vars.ts";
import { findWranglerFile, readWranglerFile } from "../../runtime/config/wrangler-file.ts";

const parent = mkdtempSync(path.join(os.tmpdir(), "embedge-vars-"));
afterAll(() => rmSync(parent, { recursive: true }));
let folder = parent;
beforeEach(() => {
  folder = mkdtempSync(path.join(parent, "x"));
});
afterEach(() => {
  for (const name of ["CLOUDFLARE_INCLUDE_PROCESS_ENV", "EMBEDGE_TEST_SECRET"])
    Reflect.deleteProperty(process.env, name);
});

const write = (name: string, text: string): void => writeFileSync(path.join(folder, name), text);

/** What we read, which has to be what wrangler reads. */
function read(environment?: string): Readonly<Record<string, unknown>> {
  const file = findWranglerFile(folder) ?? "";
  const ours = readLocalVars(readWranglerFile(file, environment), process.env);
  const config = unstable_readConfig({ config: file, ...(environment !== undefined && { env: environment }) });
  const theirs = unstable_getVarsForDev(file, undefined, config.vars, environment, true, config.secrets);
  const values = Object.entries(theirs).map(([name, binding]) => [
    name,
    "value" in binding ? binding.value : undefined,
  ]);
  expect(ours).toEqual(Object.fromEntries(values));
  return ours;
}

const CONFIG = `
name = "x"
compatibility_date = "2026-07-01"
[vars]
TEXT = "a # b"
NUMBER = 1.5
TABLE = { a = [1, "x"], b = true }
LONG = """
two
lines"""
OVER = "from the configuration"
[env.x.vars]
TEXT = "of x"
[env.y]
`;
const DEV_VARS = `# a comment
OVER=from .dev.vars
 SPACED =  spaces are taken off  
export EXPORTED=yes
HASH=a#b
HASH_SPACE=a # b
QUOTED="a # b \\n next 'x'"
SINGLE='a # b \\n next "x"'
BACKTICK=\`a "x" 'y'\`
JSON={"a":[1,2],"b":"c d"}
JSON_QUOTED='{"a": "# no comment"}'
MULTI="first
second
third"
EMPTY=
COLON: value
KEY.WITH-SIGNS=1
DOLLAR=$OVER \${SPACED}
UNCLOSED="a
TWICE=1
TWICE=2
`;

test("vars and .dev.vars: JSON, quotes, several lines, comments", () => {
  write("wrangler.toml", CONFIG);
  expect(read()).toMatchObject({ TABLE: { a: [1, "x"], b: true }, NUMBER: 1.5 });
  write(".dev.vars", DEV_VARS);
  write(".env", "ONLY_IN_ENV=1\n");
  expect(read()).toMatchObject({ OVER: "from .dev.vars", QUOTED: "a # b \n next 'x'", MULTI: "first\nsecond\nthird" });
  expect(read()).not.toHaveProperty("ONLY_IN_ENV");
});

test("an environment has .dev.vars and vars of its own", () => {
  write("wrangler.toml", CONFIG);
  write(".dev.vars", "A=1\n");
  expect(read("x")).toEqual({ TEXT: "of x", A: "1" });
  write(".dev.vars.x", "B=2\n");
  expect(read("x")).toEqual({ TEXT: "of x", B: "2" });
  expect(read("y")).toEqual({ A: "1" });
});

test(".env where there is no .dev.vars: each file adds, and variables stand for others", () => {
  write("wrangler.toml", CONFIG);
  write(".env", "A=1\nB=\"$A/b\"\nC='$A'\nD=${NONE:-other}\nE=\\$A\n");
  write(".env.local", "A=2\n");
  write(".env.x", "A=3\n");
  write(".env.x.local", "F=4\n");
  expect(read()).toMatchObject({ A: "2", B: "2/b", D: "other" });
  expect(read("x")).toMatchObject({ A: "3", F: "4" });
});

test("secrets that are named, and the environment of the process", () => {
  write(
    "wrangler.json",
    '{ "name": "x", "vars": { "A": "1" }, "secrets": { "required": ["EMBEDGE_TEST_SECRET", "S"] } }',
  );
  write(".dev.vars", "A=2\nS=3\nOTHER=4\n");
  expect(read()).toEqual({ A: "2", S: "3" });
  rmSync(path.join(folder, ".dev.vars"));
  process.env["EMBEDGE_TEST_SECRET"] = "5";
  expect(read()).toEqual({ A: "1", EMBEDGE_TEST_SECRET: "5" });
  write("wrangler.json", '{ "name": "x" }');
  write(".env", "EMBEDGE_TEST_SECRET=6\n");
  expect(read()).toEqual({ EMBEDGE_TEST_SECRET: "6" });
  process.env["CLOUDFLARE_INCLUDE_PROCESS_ENV"] = "true";
  expect(read()).toMatchObject({ EMBEDGE_TEST_SECRET: "5" });
});
