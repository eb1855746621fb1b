import { describe, expect, test } from "vitest";
import {
  readCatalogue,
  readPytestReport,
  readVitestReport,
  renderFaults,
  rowsNamedBy,
  untested,
  withoutResults,
} from "../../scripts/fault-report.ts";

const groups = readCatalogue(`# a remark

W. Workers
W01! killed: restarted
W02 slow: replaced
S07! a stranger: sent away | not yet: nobody can come
`);
const passed = { file: "test/a.test.ts", title: "a dead worker is replaced (W01)", result: "passed" } as const;

test("the catalogue is read row by row", () => {
  expect(groups).toEqual([
    {
      title: "W. Workers",
      rows: [
        { id: "W01", fault: "killed: restarted", isFirstSet: true, notYet: undefined },
        { id: "W02", fault: "slow: replaced", isFirstSet: false, notYet: undefined },
        { id: "S07", fault: "a stranger: sent away", isFirstSet: true, notYet: "nobody can come" },
      ],
    },
  ]);
});

test("a line of the catalogue that is none is an error", () => {
  expect(() => readCatalogue("W. Workers\nW1 killed")).toThrow("W1 killed");
});

test("a title names its rows at its beginning, in brackets, and in Python in small letters", () => {
  expect(rowsNamedBy("Q01: an abort")).toEqual(["Q01"]);
  expect(rowsNamedBy("a test (W29, W30)")).toEqual(["W29", "W30"]);
  expect(rowsNamedBy("w23 w24 a head that is none")).toEqual(["W23", "W24"]);
  expect(rowsNamedBy("float32 of sha256, H2O and W2345")).toEqual([]);
});

describe("the reports", () => {
  test("of vitest are read", () => {
    const assertionResults = [
      { fullName: "a worker that dies (W01)", status: "failed" },
      { fullName: "a worker that sleeps", status: "pending" },
    ];
    const report = JSON.stringify({ testResults: [{ name: "/root/test/a.test.ts", assertionResults }] });
    expect(readVitestReport(report, "/root")).toEqual([
      { file: "test/a.test.ts", title: "a worker that dies (W01)", result: "failed" },
      { file: "test/a.test.ts", title: "a worker that sleeps", result: "skipped" },
    ]);
  });

  test("of pytest are read", () => {
    const report = `<testsuite><testcase classname="tests.test_wire" name="test_w20_a_frame[1_2]" time="0.1" />
      <testcase classname="tests.test_wire" name="test_w19_an_end" time="0.1"><failure message="no">at</failure></testcase></testsuite>`;
    expect(readPytestReport(report)).toEqual([
      { file: "python/tests/test_wire.py", title: "w20 a frame", result: "passed" },
      { file: "python/tests/test_wire.py", title: "w19 an end", result: "failed" },
    ]);
  });
});

test("a row of the first set without a test is told, unless it concerns nothing that exists", () => {
  expect(untested(groups, [passed])).toEqual([]);
  expect(untested(groups, [])).toEqual(["W01"]);
});

describe("the document", () => {
  const document = renderFaults(groups, [passed]);

  test("shows each row with its tests and how they ended", () => {
    expect(document).toContain(
      "| **W01** | killed: restarted | holds | `test/a.test.ts`: a dead worker is replaced (W01) |",
    );
    expect(document).toContain("| W02 | slow: replaced | no test |  |");
    expect(document).toContain("| not yet: nobody can come |");
    expect(document).toContain("1 of 3 rows hold, 1 of the 2 in bold");
  });

  test("says so where one of its tests fails", () => {
    const failed = { ...passed, title: "another (W01)", result: "failed" } as const;
    expect(renderFaults(groups, [passed, failed])).toContain("| FAILS |");
  });

  test("shows what was planted into the scheduler, and whether it was caught", () => {
    const planted = {
      file: "test/p.test.ts",
      title: "the simulation notices: Q02: an abort",
      result: "passed",
    } as const;
    expect(renderFaults(groups, [planted])).toContain("1 of 1 were caught");
    expect(renderFaults(groups, [planted])).toContain("| Q02: an abort | yes |");
    const { file, title } = planted;
    expect(withoutResults(renderFaults(groups, [planted]))).toBe(
      withoutResults(renderFaults(groups, [{ file, title }])),
    );
  });

  test("is the same without results, whether the tests have run or not", () => {
    const { file, title } = passed;
    expect(withoutResults(document)).toBe(withoutResults(renderFaults(groups, [{ file, title }])));
    expect(withoutResults(document)).not.toBe(withoutResults(renderFaults(groups, [])));
  });
});
