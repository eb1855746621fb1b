import { execFile } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { packageEnv, packInto, root } from "../doubles/packed-package.ts";

/** `examples/vitest` with the package as it is packed, and every other package from this repository: nothing is fetched. */
const temporary = mkdtempSync(path.join(os.tmpdir(), "embedge-example-"));
const project = path.join(temporary, "project");
const TIMEOUT_MS = 120_000;
const run = promisify(execFile);

interface Manifest {
  readonly version: string;
  readonly devDependencies: Readonly<Record<string, string>>;
}

function manifestOf(folder: string): Manifest {
  return JSON.parse(readFileSync(path.join(folder, "package.json"), "utf8")) as Manifest;
}

beforeAll(async () => {
  cpSync(path.join(root, "examples/vitest"), project, {
    recursive: true,
    filter: (file) => !file.includes("node_modules"),
  });
  const packages = path.join(project, "node_modules");
  mkdirSync(path.join(packages, "embedge"), { recursive: true });
  for (const name of readdirSync(path.join(root, "node_modules"))) {
    symlinkSync(path.join(root, "node_modules", name), path.join(packages, name));
  }
  const tarball = await packInto(temporary);
  await run("tar", ["-xzf", tarball, "-C", path.join(packages, "embedge"), "--strip-components", "1"]);
}, TIMEOUT_MS);
afterAll(() => rmSync(temporary, { recursive: true, force: true }));

interface Outcome {
  readonly exitCode: number;
  readonly output: string;
  /** What runs from the project afterwards, which should be nothing. */
  readonly left: readonly string[];
}

async function npmTest(): Promise<Outcome> {
  const ended = run("npm", ["test"], { cwd: project, env: { ...packageEnv, NO_COLOR: "1" } }).then(
    ({ stdout, stderr }) => ({ exitCode: 0, output: stdout + stderr }),
    (error: { code: number; stdout: string; stderr: string }) => ({
      exitCode: error.code,
      output: error.stdout + error.stderr,
    }),
  );
  const outcome = await ended;
  const { stdout } = await run("ps", ["-axww", "-o", "args="]);
  return { ...outcome, left: stdout.split("\n").filter((line) => line.includes(temporary)) };
}

test(
  "the example's tests run in workerd, over vectors of the pool that equal the reference",
  { timeout: TIMEOUT_MS },
  async () => {
    const { exitCode, output, left } = await npmTest();
    expect({ exitCode, output }).toMatchObject({ exitCode: 0 });
    expect(output).toMatch(/Tests {2}3 passed \(3\)/);
    expect(left).toEqual([]);
  },
);

test(
  "another vector than the reference fails them, and leaves no process either",
  { timeout: TIMEOUT_MS },
  async () => {
    const file = path.join(project, "test/golden.json");
    const golden = JSON.parse(readFileSync(file, "utf8")) as { vector: number[] };
    const [first = 0, ...rest] = golden.vector;
    writeFileSync(file, JSON.stringify({ ...golden, vector: [first + 0.001, ...rest] }));
    const { exitCode, output, left } = await npmTest();
    expect({ exitCode, output }).toMatchObject({ exitCode: 1 });
    expect(output).toMatch(/Tests {2}1 failed \| 2 passed \(3\)/);
    expect(left).toEqual([]);
  },
);

test("the example asks for the versions that are tested here", () => {
  const { embedge, ...others } = manifestOf(path.join(root, "examples/vitest")).devDependencies;
  const own = manifestOf(root);
  expect(embedge).toBe(`file:../../embedge-${own.version}.tgz`);
  expect(own.devDependencies).toMatchObject(others);
});
