/** One row of the fault catalogue. */
export interface FaultRow {
  readonly id: string;
  /** What happens, and what must hold. */
  readonly fault: string;
  /** Whether it must have a test. */
  readonly isFirstSet: boolean;
  /** Why it concerns nothing that exists; undefined where it does. */
  readonly notYet: string | undefined;
}

export interface FaultGroup {
  readonly title: string;
  readonly rows: readonly FaultRow[];
}

/** A test by its full title; without a result where it has not been run. */
export interface NamedTest {
  readonly file: string;
  readonly title: string;
  readonly result?: "passed" | "failed" | "skipped" | undefined;
}

/** Reads test/faults/catalogue.txt; throws at a line that is neither a row, a group nor a remark. */
export function readCatalogue(text: string): readonly FaultGroup[] {
  const groups: { title: string; rows: FaultRow[] }[] = [];
  for (const line of text.split("\n")) {
    if (line === "" || line.startsWith("#")) continue;
    const [, id, first, fault, notYet] = /^([A-Z]\d\d)(!?) (.+?)(?: \| not yet: (.+))?$/.exec(line) ?? [];
    if (id !== undefined && fault !== undefined) {
      groups.at(-1)?.rows.push({ id, fault, isFirstSet: first === "!", notYet });
    } else if (/^[A-Z]\. ./.test(line)) groups.push({ title: line, rows: [] });
    else throw new Error(`No row of the fault catalogue: ${line}`);
  }
  return groups;
}

/** The tests of vitest's JSON report; files are named from `root`. */
export function readVitestReport(report: string, root: string): readonly NamedTest[] {
  const { testResults } = JSON.parse(report) as {
    readonly testResults: readonly {
      readonly name: string;
      readonly assertionResults: readonly { readonly fullName: string; readonly status: string }[];
    }[];
  };
  return testResults.flatMap(({ name, assertionResults }) =>
    assertionResults.map(({ fullName, status }) => ({
      file: name.replace(`${root}/`, ""),
      title: fullName,
      result: status === "passed" || status === "failed" ? status : "skipped",
    })),
  );
}

/** The tests of pytest's JUnit report. */
export function readPytestReport(report: string): readonly NamedTest[] {
  const cases = report.matchAll(/<testcase ([^>]*?)(?:\/>|>(.*?)<\/testcase>)/gs);
  return [...cases].map(([, attributes = "", inside = ""]) => {
    const [, module = ""] = / ?classname="([^"]+)"/.exec(attributes) ?? [];
    const [, name = ""] = / name="([^"]+)"/.exec(attributes) ?? [];
    const result = /<(failure|error)/.test(inside) ? "failed" : inside.includes("<skipped") ? "skipped" : "passed";
    return { file: `python/${module.replaceAll(".", "/")}.py`, title: wordsOf(name), result };
  });
}

/** `test_w20_a_frame[cut]` → `w20 a frame`: cases of one test are one line. */
export function wordsOf(name: string): string {
  return name
    .replace(/\[.*/s, "")
    .replace(/^test_/, "")
    .replaceAll("_", " ");
}

/** The rows that a title names: `(W31)`, `W01:`, in Python `w20`. */
export function rowsNamedBy(title: string): readonly string[] {
  return [...title.matchAll(/(?<![A-Za-z0-9])[A-Za-z]\d\d(?![A-Za-z0-9])/g)].map(([id]) => id.toUpperCase());
}

/** The rows that must have a test and have none. */
export function untested(groups: readonly FaultGroup[], tests: readonly NamedTest[]): readonly string[] {
  const named = new Set(tests.flatMap(({ title }) => rowsNamedBy(title)));
  const rows = groups.flatMap((group) => group.rows);
  return rows.filter((row) => row.isFirstSet && row.notYet === undefined && !named.has(row.id)).map(({ id }) => id);
}

/** `docs/faults.md`: every row with its tests and how they ended. */
export function renderFaults(groups: readonly FaultGroup[], tests: readonly NamedTest[]): string {
  const byRow = Map.groupBy(
    tests.flatMap((test) => [...new Set(rowsNamedBy(test.title))].map((id) => ({ id, test }))),
    ({ id }) => id,
  );
  const testsOf = (row: FaultRow): readonly NamedTest[] => (byRow.get(row.id) ?? []).map(({ test }) => test);
  const rows = groups.flatMap((group) => group.rows);
  const firstSet = rows.filter(({ isFirstSet }) => isFirstSet);
  const held = (some: readonly FaultRow[]): number =>
    some.filter((row) => resultOf(row, testsOf(row)) === "holds").length;
  const tables = groups.map(
    (group) =>
      `## ${group.title}\n\n| row | what happens: what must hold | last run | tests |\n| --- | --- | --- | --- |\n${group.rows
        .map((row) => renderRow(row, testsOf(row)))
        .join("\n")}\n`,
  );
  return `# Faults

Made by \`npm test\` from the titles and results of the tests; do not edit. The rows stand in \`test/faults/catalogue.txt\`; those in bold must
have a test.

${LAST_RUN}${held(rows)} of ${rows.length} rows hold, ${held(firstSet)} of the ${firstSet.length} in bold.

${tables.join("\n")}
${renderPlanted(tests)}`;
}

const PLANTED = "the simulation notices: ";

/** Faults that are put into a copy of the scheduler, one at a time, to see whether the simulation notices. */
function renderPlanted(tests: readonly NamedTest[]): string {
  const planted = tests.filter(({ title }) => title.startsWith(PLANTED));
  const caught = { passed: "yes", failed: "NO", skipped: "not run" };
  const rows = planted.map(
    ({ title, result }) => `| ${escape(title.slice(PLANTED.length))} | ${result === undefined ? "" : caught[result]} |`,
  );
  const share = planted.filter(({ result }) => result === "passed").length;
  return `## Planted faults

The simulation of the scheduler is tested in its turn: each of these is put into a copy of the scheduler, and a law must break within 300 seeds.

${LAST_RUN}${share} of ${planted.length} were caught.

| fault | caught |
| --- | --- |
${rows.toSorted().join("\n")}
`;
}

const LAST_RUN = "In the last run ";

/** The document without what the last run gave: what \`npm run check\` compares. */
export function withoutResults(document: string): string {
  return document
    .split("\n")
    .map((line) =>
      line.startsWith(LAST_RUN)
        ? LAST_RUN
        : line.replace(/^(\| [^|]+ \| [^|]+ \|)[^|]*\|/, "$1 |").replace(/^(\| [^|]+ \|)[^|]*\|$/, "$1 |"),
    )
    .join("\n");
}

function renderRow(row: FaultRow, tests: readonly NamedTest[]): string {
  const lines = new Set(tests.map(({ file, title }) => `\`${file}\`: ${escape(title)}`));
  const id = row.isFirstSet ? `**${row.id}**` : row.id;
  return `| ${id} | ${escape(row.fault)} | ${resultOf(row, tests)} | ${[...lines].toSorted().join("<br>")} |`;
}

function resultOf(row: FaultRow, tests: readonly NamedTest[]): string {
  const results = new Set(tests.map(({ result }) => result));
  if (results.has("failed")) return "FAILS";
  if (results.has("passed")) return "holds";
  if (results.size > 0) return "not run";
  return row.notYet === undefined ? "no test" : `not yet: ${row.notYet}`;
}

function escape(text: string): string {
  return text.replaceAll(/[|<>*_]/g, (sign) => `&#${sign.codePointAt(0)};`).replaceAll(/\s+/g, " ");
}
