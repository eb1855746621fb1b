import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, expect, test } from "vitest";

interface Outcome {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

const cli = path.join(import.meta.dirname, "../../runtime/cli.ts");
const cwd = mkdtempSync(path.join(os.tmpdir(), "embedge-cli-"));
afterAll(() => rmSync(cwd, { recursive: true, force: true }));

function embedge(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Outcome> {
  return new Promise((resolve) => {
    const options = { cwd, env: { PATH: process.env["PATH"], ...env } };
    execFile(process.execPath, [cli, ...args], options, (error, stdout, stderr) => {
      resolve({ exitCode: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}

test.each([["--help"], ["serve", "--help"], []])("help is printed for: embedge %s %s", async (...args) => {
  const { exitCode, stdout } = await embedge(args);
  expect([exitCode, stdout]).toEqual([0, expect.stringContaining("embedge serve [flags]")]);
});

test("--version prints the package's version", async () => {
  expect((await embedge(["--version"])).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
});

test("an unknown command names the nearest one: 64", async () => {
  const { exitCode, stderr } = await embedge(["serv"]);
  expect([exitCode, stderr]).toEqual([64, "serv: no such command; the nearest is serve. See: embedge --help\n"]);
});

test("wrong settings are all printed, one on a line, and nothing is started: 78 (C02)", async () => {
  const { exitCode, stdout, stderr } = await embedge(["serve", "--permits", "0"], { EMBEDGE_PORT: "high" });
  expect([exitCode, stdout]).toEqual([78, ""]);
  expect(stderr.trimEnd().split("\n")).toEqual([
    'EMBEDGE_PORT: must be a whole number from 0 to 65535, not "high".',
    "--permits: must be a whole number from 1 to 64, not 0.",
  ]);
});

test("config prints each setting with its origin, and of secrets the names alone (C04)", async () => {
  writeFileSync(path.join(cwd, "own.toml"), '[vars]\nTOKEN = "hush"\n');
  const { exitCode, stdout } = await embedge(["config", "--config", "own.toml", "--port", "9090"]);
  expect(exitCode).toBe(0);
  expect(stdout).toMatch(/^server\.port = 9090 +# --port$/m);
  expect(stdout).toMatch(/^server\.host = "127\.0\.0\.1" +# default$/m);
  expect(stdout).toMatch(/^vars = \{ TOKEN = "\*\*\*" \} +# .*own\.toml$/m);
  expect(stdout).not.toContain("hush");
});
