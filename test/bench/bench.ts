/**
 * `npm run bench`: how fast workers and host are, beside other engines, in one run on one machine.
 *
 * Compare ratios, not the figures of two machines. docs/performance.md explains the tables.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { packageRoot } from "../../runtime/config/installation.ts";
import { findRealWorker } from "../doubles/real-worker.ts";
import { type BenchResult, picturesOf, tablesOf } from "./report.ts";
import {
  type Context,
  defaultWorkers,
  measureCurves,
  measureEngines,
  measureHomes,
  measureLookAhead,
  measureOneRequest,
  measureOriginal,
  measurePadding,
  measurePermits,
  measureServed,
} from "./sections.ts";

const sections = {
  served: measureServed,
  engines: measureEngines,
  original: measureOriginal,
  request: measureOneRequest,
  padding: measurePadding,
  homes: measureHomes,
  curves: measureCurves,
  permits: measurePermits,
  lookAhead: measureLookAhead,
} as const;

type SectionName = keyof typeof sections;

const HELP = `npm run bench -- [--only NAMES] [--seconds N] [--warm-up N] [--json FILE] [--write-docs]

  --only NAMES   sections, by commas (all of them): ${Object.keys(sections).join(", ")}
  --seconds N    time for each figure (6)
  --warm-up N    requests to each host before its first figure (6000)
  --json FILE    writes the figures there as well
  --write-docs   writes the tables into docs/performance.md and the pictures into docs/performance/

All sections take some 10 minutes. Leave the machine alone meanwhile. Uses wrk where it is installed, else autocannon.
The environment variables OPENBLAS_* reach the workers: unset them.`;

await main();

async function main(): Promise<void> {
  const asked = readArguments();
  const context: Context = { ...asked, workers: defaultWorkers(), say: print };
  const { seconds, workers } = context;
  const facts: BenchResult = { machine: describeMachine(), versions: describeVersions(), seconds, workers };
  const result: BenchResult = { ...facts };
  print(`${facts.machine}\n${facts.versions}\n${workers} workers, ${seconds} s for each figure.`);
  for (const [index, name] of asked.only.entries()) {
    print(`\n[${index + 1}/${asked.only.length}] ${name}`);
    const measured = { [name]: await sections[name](context) };
    Object.assign(result, measured);
    for (const { text } of tablesOf({ ...facts, ...measured })) print(text);
  }
  if (asked.json !== undefined) writeFileSync(asked.json, `${JSON.stringify(result, undefined, 2)}\n`);
  if (asked.writesDocs) writeDocs(result);
}

interface Asked {
  readonly only: readonly SectionName[];
  readonly seconds: number;
  readonly warmUpRequests: number;
  readonly json: string | undefined;
  readonly writesDocs: boolean;
}

function readArguments(): Asked {
  try {
    const { values } = parseArgs({
      options: {
        only: { type: "string", default: Object.keys(sections).join(",") },
        seconds: { type: "string", default: "6" },
        "warm-up": { type: "string", default: "6000" },
        json: { type: "string" },
        "write-docs": { type: "boolean", default: false },
        help: { type: "boolean", short: "h" },
      },
    });
    if (values.help === true) leave(HELP, 0);
    return {
      only: values.only.split(",").map(sectionOf),
      seconds: wholeNumber("--seconds", values.seconds),
      warmUpRequests: wholeNumber("--warm-up", values["warm-up"]),
      json: values.json,
      writesDocs: values["write-docs"],
    };
  } catch (error) {
    return leave(`${error instanceof Error ? error.message : String(error)}\n\n${HELP}`, 64);
  }
}

function sectionOf(name: string): SectionName {
  if (Object.hasOwn(sections, name)) return name as SectionName;
  throw new Error(`There is no section ${JSON.stringify(name)}.`);
}

function wholeNumber(flag: string, text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new Error(`${flag} must be a whole number from 1.`);
  return value;
}

/** Replaces what stands between `<!-- bench NAME -->` and `<!-- /bench -->`. */
function writeDocs(result: BenchResult): void {
  const file = join(packageRoot, "docs/performance.md");
  let text = readFileSync(file, "utf8");
  const facts = `${result.machine} ${result.versions} ${result.workers} workers, ${result.seconds} s for each figure.`;
  for (const { name, text: table } of [{ name: "facts", text: facts }, ...tablesOf(result)]) {
    const place = new RegExp(`(<!-- bench ${name} -->\n)[^]*?(\n<!-- /bench -->)`);
    if (!place.test(text)) throw new Error(`${file} has no place for ${name}.`);
    text = text.replace(place, (_, open: string, close: string) => `${open}\n${table}\n${close}`);
  }
  writeFileSync(file, text);
  const folder = join(packageRoot, "docs/performance");
  mkdirSync(folder, { recursive: true });
  for (const [name, svg] of picturesOf(result)) writeFileSync(join(folder, name), svg);
  print(`\nWrote ${file} and ${picturesOf(result).size} pictures.`);
}

function describeMachine(): string {
  const [cpu] = cpus();
  const gibibytes = Math.round(totalmem() / 2 ** 30);
  return `${cpus().length} × ${cpu?.model.trim() ?? "unknown processor"}, ${gibibytes} GiB, ${process.platform} ${process.arch}.`;
}

function describeVersions(): string {
  const python = findRealWorker().command[0];
  const program = "import importlib.metadata as m; print(m.version('mlx'))";
  const mlx = execFileSync(python, ["-I", "-c", program], { encoding: "utf8" }).trim();
  return `Node ${process.versions.node}, MLX ${mlx}.`;
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

function leave(text: string, exitCode: number): never {
  (exitCode === 0 ? process.stdout : process.stderr).write(`${text}\n`);
  process.exit(exitCode);
}
