/**
 * `npm test`: runs vitest and pytest, and prints the totals of both as the last line: `N passed, N failed`.
 *
 * Ends with 1 when a test failed, a runner broke, or a runner had nothing to run.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { countPytest, countVitest, type Totals } from "./test-totals.ts";

const root = path.join(import.meta.dirname, "..");
const reports = mkdtempSync(path.join(os.tmpdir(), "embedge-test-"));
try {
  const totals = [await runVitest(), await runPytest()];
  const passed = totals.reduce((sum, one) => sum + one.passed, 0);
  const failed = totals.reduce((sum, one) => sum + one.failed, 0);
  const skipped = totals.reduce((sum, one) => sum + one.skipped, 0);
  if (skipped > 0) process.stdout.write(`${skipped} skipped\n`);
  process.stdout.write(`${passed} passed, ${failed} failed\n`);
  process.exitCode = failed === 0 ? 0 : 1;
} finally {
  rmSync(reports, { recursive: true, force: true });
}

async function runVitest(): Promise<Totals> {
  const report = path.join(reports, "vitest.json");
  const vitest = path.join(root, "node_modules/vitest/vitest.mjs");
  const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${report}`];
  const exitCode = await run(process.execPath, [vitest, "run", ...reporters], root);
  return countVitest(readReport(report), exitCode);
}

async function runPytest(): Promise<Totals> {
  const report = path.join(reports, "pytest.xml");
  const python = path.join(root, ".embedge/python/bin/python");
  const exitCode = await run(python, ["-m", "pytest", `--junitxml=${report}`], path.join(root, "python"));
  return countPytest(readReport(report), exitCode);
}

/** Resolves with the exit code; a signal or a program that does not start counts as 1. */
function run(program: string, args: readonly string[], cwd: string): Promise<number> {
  return new Promise((resolve) => {
    const child = spawn(program, args, { cwd, stdio: "inherit" });
    child.once("error", (error) => {
      process.stderr.write(`${program}: ${error.message}\n`);
      resolve(1);
    });
    child.once("exit", (code) => resolve(code ?? 1));
  });
}

/** Undefined where the runner ended before it wrote one. */
function readReport(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}
