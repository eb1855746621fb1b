import { describe, expect, test } from "vitest";
import { countPytest, countVitest } from "../../scripts/test-totals.ts";

const vitestReport = (totals: object, testResults: readonly object[] = []): string =>
  JSON.stringify({ numPassedTests: 0, numFailedTests: 0, numPendingTests: 0, numTodoTests: 0, testResults, ...totals });
const pytestReport = (attributes: string): string =>
  `<?xml version="1.0"?><testsuites><testsuite name="pytest" ${attributes} time="1.0"></testsuite></testsuites>`;

describe("vitest", () => {
  test("is counted by outcome", () => {
    const report = vitestReport({ numPassedTests: 7, numFailedTests: 2, numPendingTests: 1, numTodoTests: 1 });
    expect(countVitest(report, 1)).toEqual({ passed: 7, failed: 2, skipped: 2 });
  });

  test("a file that could not be run is one failed test", () => {
    const report = vitestReport({ numPassedTests: 7 }, [{ status: "failed", assertionResults: [] }]);
    expect(countVitest(report, 1)).toMatchObject({ passed: 7, failed: 1 });
  });
});

describe("pytest", () => {
  test("is counted by outcome, errors as failures", () => {
    const report = pytestReport('errors="1" failures="2" skipped="3" tests="10"');
    expect(countPytest(report, 1)).toEqual({ passed: 4, failed: 3, skipped: 3 });
  });

  test("that found no test counts as one failed", () => {
    expect(countPytest(pytestReport('errors="0" failures="0" skipped="0" tests="0"'), 5).failed).toBe(1);
  });
});

test("a runner that ends badly although all passed counts as one failed", () => {
  expect(countVitest(vitestReport({ numPassedTests: 7 }), 1)).toMatchObject({ passed: 7, failed: 1 });
  expect(countPytest(pytestReport('errors="0" failures="0" skipped="0" tests="7"'), 3).failed).toBe(1);
});

test("a runner without a report counts as one failed", () => {
  expect(countVitest(undefined, 0).failed).toBe(1);
  expect(countPytest(undefined, 0).failed).toBe(1);
});

test("a runner in order has no failure", () => {
  expect(countVitest(vitestReport({ numPassedTests: 7 }), 0)).toEqual({ passed: 7, failed: 0, skipped: 0 });
});
