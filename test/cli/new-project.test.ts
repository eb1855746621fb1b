import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeEach, expect, test } from "vitest";
import { writeProject } from "../../runtime/cli/new-project.ts";

const parent = mkdtempSync(path.join(os.tmpdir(), "embedge-init-"));
afterAll(() => rmSync(parent, { recursive: true, force: true }));

let folder = parent;
beforeEach(() => {
  folder = mkdtempSync(path.join(parent, "My Project "));
});

const read = (name: string): string => readFileSync(path.join(folder, name), "utf8");

test("an empty folder gets a whole project, with this version as its dependency", () => {
  const { written, kept, isInstalled } = writeProject(folder, "1.2.3");
  expect([written.includes("functions/api/v1/embed.ts"), kept, isInstalled]).toEqual([true, [], false]);
  expect(JSON.parse(read("package.json"))).toMatchObject({
    name: expect.stringMatching(/^my-project-/),
    type: "module",
    dependencies: { embedge: "^1.2.3" },
  });
  expect(existsSync(path.join(folder, "functions/package.json"))).toBe(false);
});

test("what is there is never touched", () => {
  writeFileSync(path.join(folder, "embedge.toml"), "# mine\n");
  const { kept } = writeProject(folder, "1.2.3");
  expect([kept, read("embedge.toml")]).toEqual([["embedge.toml"], "# mine\n"]);
});

test("in a CommonJS project, which npm init makes, the functions are modules still", () => {
  writeFileSync(path.join(folder, "package.json"), '{ "type": "commonjs" }');
  expect(writeProject(folder, "1.2.3").written).toContain("functions/package.json");
  expect(JSON.parse(read("functions/package.json"))).toEqual({ type: "module" });
});

test("it says whether embedge is installed already", () => {
  mkdirSync(path.join(folder, "node_modules/embedge"), { recursive: true });
  writeFileSync(path.join(folder, "node_modules/embedge/package.json"), "{}");
  expect(writeProject(folder, "1.2.3").isInstalled).toBe(true);
});

test("a package.json that is no JSON is named, and nothing is written", () => {
  writeFileSync(path.join(folder, "package.json"), "{");
  expect(() => writeProject(folder, "1.2.3")).toThrow(`${path.join(folder, "package.json")}: not JSON.`);
  expect(existsSync(path.join(folder, "functions"))).toBe(false);
});

test.skipIf(process.getuid?.() === 0)("a folder that may not be written to is named", () => {
  chmodSync(folder, 0o500);
  expect(() => writeProject(folder, "1.2.3")).toThrow(/package\.json: this user may not/);
});
