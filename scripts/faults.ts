/**
 * `node scripts/faults.ts --check`: ends with 1 when docs/faults.md names other tests than there are, or a row that must have one has none.
 * Nothing is run: vitest and pytest only say what their tests are called. `npm test` writes the document.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import {
  type NamedTest,
  readCatalogue,
  readPytestReport,
  readVitestReport,
  renderFaults,
  untested,
  withoutResults,
  wordsOf,
} from "./fault-report.ts";

/** The names of the Python tests alone are more than a megabyte, which is Node's default. */
const LIST_BYTES_MAX = 2 ** 26;
const root = path.join(import.meta.dirname, "..");
const document = path.join(root, "docs/faults.md");
const groups = readCatalogue(readFileSync(path.join(root, "test/faults/catalogue.txt"), "utf8"));

/** Writes docs/faults.md from the reports of a whole run; returns what is wrong, one sentence each. */
export function writeFaults(reports: { readonly vitest: string; readonly pytest: string }): readonly string[] {
  const tests = [...readVitestReport(reports.vitest, root), ...readPytestReport(reports.pytest)];
  writeFileSync(document, renderFaults(groups, tests));
  return untested(groups, tests).map((id) => `${id} of test/faults/catalogue.txt is named by no test.`);
}

function check(): readonly string[] {
  const tests = [...listVitest(), ...listPytest()];
  const problems = untested(groups, tests).map((id) => `${id} of test/faults/catalogue.txt is named by no test.`);
  const isCurrent = withoutResults(readFileSync(document, "utf8")) === withoutResults(renderFaults(groups, tests));
  return isCurrent ? problems : [...problems, "docs/faults.md does not name the tests that there are: npm test"];
}

function listVitest(): readonly NamedTest[] {
  const folder = mkdtempSync(path.join(os.tmpdir(), "embedge-faults-"));
  try {
    const list = path.join(folder, "list.json");
    const vitest = path.join(root, "node_modules/vitest/vitest.mjs");
    const flags = ["list", "--no-static-parse", `--json=${list}`];
    execFileSync(process.execPath, [vitest, ...flags], { cwd: root, stdio: ["ignore", "ignore", "inherit"] });
    const tests: readonly { readonly name: string; readonly file: string }[] = JSON.parse(readFileSync(list, "utf8"));
    return tests.map(({ name, file }) => ({
      file: path.relative(root, file),
      title: name.replaceAll(" > ", " "),
    }));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function listPytest(): readonly NamedTest[] {
  const python = path.join(root, ".embedge/python/bin/python");
  const flags = ["-m", "pytest", "--override-ini=addopts=", "--collect-only", "--quiet"];
  const list = execFileSync(python, flags, {
    cwd: path.join(root, "python"),
    encoding: "utf8",
    maxBuffer: LIST_BYTES_MAX,
  });
  return [...list.matchAll(/^(\S+\.py)::(.+)$/gm)].map(([, file, name = ""]) => ({
    file: `python/${file}`,
    title: wordsOf(name),
  }));
}

if (import.meta.main) {
  if (!process.argv.includes("--check")) {
    process.stderr.write("docs/faults.md is written by npm test; here only: --check\n");
    process.exitCode = 64;
  } else {
    const problems = check();
    for (const problem of problems) process.stderr.write(`${problem}\n`);
    process.exitCode = problems.length === 0 ? 0 : 1;
  }
}
