/**
 * `npm test`: runs vitest and pytest, writes docs/faults.md, and prints the totals of both as the last line: `N passed, N failed`.
 *
 * Ends with 1 when a test failed, a runner broke, or a runner had nothing to run.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { writeFaults } from "./faults.ts";
import { countPytest, countVitest, type Totals } from "./test-totals.ts";

const root = path.join(import.meta.dirname, "..");
const reports = mkdtempSync(path.join(os.tmpdir(), "embedge-test-"));
const vitestReport = path.join(reports, "vitest.json");
const pytestReport = path.join(reports, "pytest.xml");
try {
  const totals = [await runVitest(), await runPytest()];
  const passed = totals.reduce((sum, one) => sum + one.passed, 0);
  const problems = writeReport();
  for (const problem of problems) process.stderr.write(`${problem}\n`);
  const failed = totals.reduce((sum, one) => sum + one.failed, problems.length);
  const skipped = totals.reduce((sum, one) => sum + one.skipped, 0);
  if (skipped > 0) process.stdout.write(`${skipped} skipped\n`);
  process.stdout.write(`${passed} passed, ${failed} failed\n`);
  process.exitCode = failed === 0 ? 0 : 1;
} finally {
  rmSync(reports, { recursive: true, force: true });
}

/** What is wrong with the tests of the fault catalogue; nothing can be said where a runner broke, which counts already. */
function writeReport(): readonly string[] {
  const [vitest, pytest] = [readReport(vitestReport), readReport(pytestReport)];
  return vitest === undefined || pytest === undefined ? [] : writeFaults({ vitest, pytest });
}

async function runVitest(): Promise<Totals> {
  const vitest = path.join(root, "node_modules/vitest/vitest.mjs");
  const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${vitestReport}`];
  const exitCode = await run(process.execPath, [vitest, "run", ...reporters], root);
  return countVitest(readReport(vitestReport), exitCode);
}

async function runPytest(): Promise<Totals> {
  const python = path.join(root, ".embedge/python/bin/python");
  const exitCode = await run(python, ["-m", "pytest", `--junitxml=${pytestReport}`], path.join(root, "python"));
  return countPytest(readReport(pytestReport), exitCode);
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
