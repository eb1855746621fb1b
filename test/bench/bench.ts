/**
 * `npm run bench`: what the host serves, beside what its workers do alone, in one run.
 *
 * Starts a host, loads it at 1, 10 and 100 connections with one short text a request, then times the same worker code
 * without a host. Figures of one run on one machine: compare the ratios, not the figures of two machines.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { packageRoot, sizePool, thisMachine } from "../../runtime/config/installation.ts";
import { configSchema } from "../../runtime/config/schema.ts";
import { type LoadResult, measureLoad } from "./load.ts";
import { measureRaw, type RawFigure } from "./raw.ts";

/**
 * Connections, and what they are held against without a host: batches of that size, run by so many workers.
 * One connection can keep one worker busy, and ten cannot fill a batch of more than ten.
 */
const CASES = [
  { connections: 1, rawBatch: 1, rawWorkers: 1 },
  { connections: 10, rawBatch: 8, rawWorkers: Infinity },
  { connections: 100, rawBatch: 32, rawWorkers: Infinity },
];
const START_LIMIT_MS = 60_000;

const HELP = `npm run bench -- [--seconds N] [--json FILE]

  --seconds N   time for each figure (10)
  --json FILE   writes the figures there as well`;

const { values } = parseArgs({
  options: { seconds: { type: "string", default: "10" }, json: { type: "string" }, help: { type: "boolean" } },
});
if (values.help === true) print(HELP);
else await main(Number(values.seconds), values.json);

async function main(seconds: number, jsonFile: string | undefined): Promise<void> {
  if (!Number.isInteger(seconds) || seconds < 1) throw new Error(`--seconds must be a whole number from 1\n\n${HELP}`);
  const { workers } = sizePool(configSchema.parse({}), thisMachine());
  const served = await measureServed(seconds);
  print(`Timing ${workers} worker processes without a host.`);
  const texts = shortTexts();
  const raw: RawFigure[] = [];
  for (const { rawBatch, rawWorkers } of CASES) {
    raw.push(await measureRaw({ texts, batch: rawBatch, workers: Math.min(workers, rawWorkers), seconds }));
  }
  print(table(served, raw));
  if (jsonFile !== undefined)
    writeFileSync(jsonFile, `${JSON.stringify({ seconds, workers, served, raw }, undefined, 2)}\n`);
}

async function measureServed(seconds: number): Promise<readonly LoadResult[]> {
  const port = await freePort();
  print(`Starting a host on port ${port}.`);
  const host = spawn(process.execPath, ["runtime/cli.ts", "serve", "--port", String(port), "--log-level", "warn"], {
    cwd: packageRoot,
    stdio: ["ignore", "ignore", "inherit"],
  });
  try {
    await untilReady(port, host);
    const url = `http://127.0.0.1:${port}/api/v1/embed`;
    await measureLoad({ url, connections: 10, seconds: 2 });
    const results: LoadResult[] = [];
    for (const { connections } of CASES) {
      print(`Loading it with ${connections} connection${connections === 1 ? "" : "s"} for ${seconds} s.`);
      results.push(await measureLoad({ url, connections, seconds }));
    }
    return results;
  } finally {
    host.kill("SIGTERM");
    if (host.exitCode === null) await once(host, "exit");
  }
}

async function untilReady(port: number, host: ChildProcess): Promise<void> {
  const endAtMs = performance.now() + START_LIMIT_MS;
  while (performance.now() < endAtMs) {
    if (host.exitCode !== null) throw new Error(`the host ended with status ${host.exitCode}`);
    const answer = await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => undefined);
    if (answer?.ok === true) return;
    await delay(50);
  }
  throw new Error(`the host was not ready after ${START_LIMIT_MS} ms`);
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

/** The texts that wrk-embed.lua sends. */
function shortTexts(): readonly string[] {
  const subjects = [
    "The quick brown fox",
    "A small harbour town",
    "The night train to Vienna",
    "An old lighthouse keeper",
  ];
  const verbs = ["jumps over", "looks back at", "writes a letter to", "waits for"];
  const objects = ["the lazy dog.", "a silent river.", "seven grey geese.", "the first snow of the year."];
  return objects.flatMap((object) =>
    verbs.flatMap((verb) => subjects.map((subject) => `${subject} ${verb} ${object}`)),
  );
}

function table(served: readonly LoadResult[], raw: readonly RawFigure[]): string {
  const head = ["connections", "requests/s", "P50 ms", "P95 ms", "P99 ms", "errors", "raw texts/s", "served/raw"];
  const rows = served.map((result, at) => {
    const figure = raw[at];
    const rawRate = figure?.textsPerSecond ?? Number.NaN;
    return [
      String(CASES[at]?.connections),
      result.requestsPerSecond.toFixed(0),
      result.p50Ms.toFixed(1),
      result.p95Ms.toFixed(1),
      result.p99Ms.toFixed(1),
      `${(result.errorRate * 100).toFixed(2)} %`,
      `${rawRate.toFixed(0)} (${figure?.workers} x batch ${figure?.batch})`,
      (result.requestsPerSecond / rawRate).toFixed(2),
    ];
  });
  const widths = head.map((title, at) => Math.max(title.length, ...rows.map((row) => row[at]?.length ?? 0)));
  const line = (cells: readonly string[]): string => cells.map((cell, at) => cell.padStart(widths[at] ?? 0)).join("  ");
  return [line(head), ...rows.map(line)].join("\n");
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
