export interface Totals {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/** What vitest's JSON reporter writes, as far as it is used here. */
interface VitestReport {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
  readonly numTodoTests: number;
  readonly testResults: readonly { readonly status: string; readonly assertionResults: readonly unknown[] }[];
}

const NOTHING_RAN: Totals = { passed: 0, failed: 1, skipped: 0 };

/** Tests by outcome. A file that could not be run counts as one failed test. */
export function countVitest(report: string | undefined, exitCode: number): Totals {
  if (report === undefined) return NOTHING_RAN;
  const { numPassedTests, numFailedTests, numPendingTests, numTodoTests, testResults } = JSON.parse(
    report,
  ) as VitestReport;
  const brokenFiles = testResults.filter(
    ({ status, assertionResults }) => status === "failed" && assertionResults.length === 0,
  );
  return settle(
    { passed: numPassedTests, failed: numFailedTests + brokenFiles.length, skipped: numPendingTests + numTodoTests },
    exitCode,
  );
}

/** Tests by outcome, from pytest's JUnit report. A file that could not be imported is an error there and counts as failed. */
export function countPytest(report: string | undefined, exitCode: number): Totals {
  const suite = report?.match(/<testsuite [^>]*>/)?.[0];
  if (suite === undefined) return NOTHING_RAN;
  const attribute = (name: string): number => Number(suite.match(new RegExp(` ${name}="(\\d+)"`))?.[1] ?? 0);
  const failed = attribute("failures") + attribute("errors");
  const skipped = attribute("skipped");
  return settle({ passed: attribute("tests") - failed - skipped, failed, skipped }, exitCode);
}

/** A runner that ran nothing, or that ended badly although no test failed, counts as one failed test. */
function settle(totals: Totals, exitCode: number): Totals {
  const ranNothing = totals.passed + totals.failed === 0;
  const broke = exitCode !== 0 && totals.failed === 0;
  return ranNothing || broke ? { ...totals, failed: 1 } : totals;
}
