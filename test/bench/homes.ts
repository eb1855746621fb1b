/**
 * `npm run bench:homes`: what each home of a function costs beside its pool, in one run on one machine.
 *
 * A pool in this process, called directly; `embedge serve`, functions on Node; `embedge dev --miniflare`, the same functions in
 * workerd. All three are up all the time and take turns, each with the same texts, settings and number of workers.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { Agent, type IncomingMessage, request } from "node:http";
import { buffer } from "node:stream/consumers";
import { parseArgs } from "node:util";
import { packageRoot } from "../../runtime/config/installation.ts";
import type { ReadyWorker, WorkerPool } from "../../runtime/pool/worker-pool.ts";
import { startRealHost } from "../doubles/real-host.ts";
import { until, withTimeout } from "../doubles/wait.ts";
import { measureLoad } from "./load.ts";

const ROUNDS = 40;
const CALLS_PER_ROUND = 25;
const CONNECTIONS = 32;
const THROUGHPUT_ROUNDS = 2;
const START_LIMIT_MS = 120_000;

const HELP = `npm run bench:homes -- [--seconds N] [--workers N] [--json FILE]

  --seconds N   time for each figure of throughput, ${THROUGHPUT_ROUNDS} of each (10)
  --workers N   processes of each pool (as many as \`embedge serve\` takes); one core less than there are leaves one to the homes
  --json FILE   writes the figures there as well`;

/** Where a call goes; resolves when the vector is there. */
type Call = (text: string) => Promise<void>;

interface Home {
  readonly url: string;
  readonly call: Call;
  readonly stop: () => Promise<void>;
}

interface Pool {
  readonly pool: WorkerPool;
  readonly workers: readonly ReadyWorker[];
  readonly stop: () => Promise<void>;
}

interface HomeFigures {
  readonly home: string;
  /** One call at a time. */
  readonly p50Ms: number;
  /** Above the pool's own. */
  readonly addedMs: number;
  /** With CONNECTIONS calls at a time, each of one text. */
  readonly textsPerSecond: number;
  readonly servedToRaw: number;
}

await main();

async function main(): Promise<void> {
  const { seconds, workers, json } = readArguments();
  const flags = workers === undefined ? [] : ["--workers", String(workers)];
  print("Starting a pool, `embedge serve` and `embedge dev --miniflare`.");
  await using stack = new AsyncDisposableStack();
  const pool = stack.adopt(await startPool(workers), ({ stop }) => stop());
  const node = stack.adopt(await startHome(["serve", ...flags]), ({ stop }) => stop());
  const miniflare = stack.adopt(await startHome(["dev", "--miniflare", ...flags]), ({ stop }) => stop());
  print(`One call at a time: ${ROUNDS} rounds of ${CALLS_PER_ROUND} calls each.`);
  const latenciesMs = await measureLatencies([directly(pool), node.call, miniflare.call]);
  print(`${CONNECTIONS} calls at a time: ${THROUGHPUT_ROUNDS} rounds of ${seconds} s each.`);
  const rates = await measureRates(pool, [node.url, miniflare.url], seconds);
  const [rawMs = 0] = latenciesMs;
  const [rawRate = 0] = rates;
  const homes = ["pool, called directly", "Node (embedge serve)", "workerd (embedge dev --miniflare)"];
  const figures = homes.map((home, at): HomeFigures => {
    const [p50Ms = Number.NaN, textsPerSecond = Number.NaN] = [latenciesMs[at], rates[at]];
    return { home, p50Ms, addedMs: p50Ms - rawMs, textsPerSecond, servedToRaw: textsPerSecond / rawRate };
  });
  print(table(figures));
  if (json !== undefined) {
    const facts = { seconds, connections: CONNECTIONS, workers: pool.workers.length };
    writeFileSync(json, `${JSON.stringify({ ...facts, figures }, undefined, 2)}\n`);
  }
}

interface Arguments {
  readonly seconds: number;
  readonly workers: number | undefined;
  readonly json: string | undefined;
}

function readArguments(): Arguments {
  try {
    const { values } = parseArgs({
      options: {
        seconds: { type: "string", default: "10" },
        workers: { type: "string" },
        json: { type: "string" },
        help: { type: "boolean", short: "h" },
      },
    });
    if (values.help === true) leave(HELP, 0);
    const { workers, json } = values;
    return {
      seconds: wholeNumber("--seconds", values.seconds),
      workers: workers === undefined ? undefined : wholeNumber("--workers", workers),
      json,
    };
  } catch (error) {
    return leave(`${error instanceof Error ? error.message : String(error)}\n\n${HELP}`, 64);
  }
}

function wholeNumber(flag: string, text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new Error(`${flag} must be a whole number from 1.`);
  return value;
}

/** Median times, one for each of `calls`, which take turns so that what slows the machine slows all. */
async function measureLatencies(calls: readonly Call[]): Promise<readonly number[]> {
  const timesMs: readonly number[][] = calls.map(() => []);
  for (let round = -1; round < ROUNDS; round++) {
    for (const [at, call] of calls.entries()) {
      for (let index = 0; index < CALLS_PER_ROUND; index++) {
        const startedAtMs = performance.now();
        await call(textAt(index));
        // The first round warms up.
        if (round >= 0) timesMs[at]?.push(performance.now() - startedAtMs);
      }
    }
  }
  return timesMs.map((times) => times.toSorted((a, b) => a - b)[times.length >> 1] ?? Number.NaN);
}

/** Texts a second: of the pool, then of each URL. */
async function measureRates(pool: Pool, urls: readonly string[], seconds: number): Promise<readonly number[]> {
  const measures = [
    () => measurePool(pool, seconds),
    ...urls.map((url) => async () => {
      const { requestsPerSecond, errorRate } = await measureLoad({ url, connections: CONNECTIONS, seconds });
      if (errorRate > 0) throw new Error(`${url}: ${(errorRate * 100).toFixed(2)} % of the requests failed`);
      return requestsPerSecond;
    }),
  ];
  for (const url of urls) await measureLoad({ url, connections: CONNECTIONS, seconds: 2 });
  const sums = measures.map(() => 0);
  for (let round = 0; round < THROUGHPUT_ROUNDS; round++) {
    for (const [at, measure] of measures.entries()) sums[at] = (sums[at] ?? 0) + (await measure());
  }
  return sums.map((sum) => sum / THROUGHPUT_ROUNDS);
}

/** The same number of texts in flight as the homes get: each worker has its share of them as one batch. */
async function measurePool({ pool, workers }: Pool, seconds: number): Promise<number> {
  const batch = Math.ceil(CONNECTIONS / workers.length);
  const startedAtMs = performance.now();
  let texts = 0;
  const work = workers.map(async ({ id, model }) => {
    while (performance.now() - startedAtMs < seconds * 1_000) {
      const from = texts;
      texts += batch;
      const batchTexts = Array.from({ length: batch }, (_, index) => textAt(from + index));
      await pool.run(id, { model: model.model, pooling: "default", normalize: true, texts: batchTexts });
    }
  });
  await Promise.all(work);
  return texts / ((performance.now() - startedAtMs) / 1_000);
}

async function startPool(wanted: number | undefined): Promise<Pool> {
  const workers: ReadyWorker[] = [];
  let pool: WorkerPool | undefined;
  const host = await startRealHost({
    config: { pool: { ...(wanted !== undefined && { workers: wanted }) } },
    wrapPool(inner) {
      pool = inner;
      return {
        ...inner,
        start: ({ workerReady, workerLost }) =>
          inner.start({
            workerLost,
            workerReady(worker) {
              workers.push(worker);
              workerReady(worker);
            },
          }),
      };
    },
  });
  await until("every worker is ready", () => workers.length === host.status().workersWanted, START_LIMIT_MS);
  if (pool === undefined) throw new Error("the host made no pool");
  return { pool, workers, stop: () => host.close() };
}

function directly({ pool, workers }: Pool): Call {
  return async (text) => {
    const [{ id, model } = missing()] = workers;
    await pool.run(id, { model: model.model, pooling: "default", normalize: true, texts: [text] });
  };
}

function missing(): never {
  throw new Error("the pool has no worker");
}

async function startHome(command: readonly string[]): Promise<Home> {
  const args = ["runtime/cli.ts", ...command, "--port", "0", "--log-level", "warn"];
  const child = spawn(process.execPath, args, { cwd: packageRoot, stdio: ["ignore", "pipe", "inherit"] });
  const base = await withTimeout(readyUrl(child), `embedge ${command.join(" ")} to be ready`, START_LIMIT_MS);
  const url = `${base}/api/v1/embed`;
  await until("every worker is ready", async () => {
    const { workers } = (await (await fetch(`${base}/readyz`)).json()) as {
      workers: { ready: number; wanted: number };
    };
    return workers.ready === workers.wanted;
  });
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  return {
    url,
    call: (text) => post(url, agent, JSON.stringify({ texts: [text] })),
    async stop() {
      agent.destroy();
      child.kill("SIGTERM");
      if (child.exitCode === null) await once(child, "exit");
    },
  };
}

function readyUrl(child: ChildProcess): Promise<string> {
  let text = "";
  return new Promise((resolve, reject) => {
    child.stdout?.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
      const url = /ready on (http:\S+)/.exec(text)?.[1];
      if (url !== undefined) resolve(url);
    });
    child.once("exit", (code) => reject(new Error(`a host ended with ${code}:\n${text}`)));
  });
}

/** The lightest client there is in Node: its own time counts as the home's. */
async function post(url: string, agent: Agent, body: string): Promise<void> {
  const outgoing = request(url, { agent, method: "POST", headers: { "content-type": "application/json" } });
  outgoing.end(body);
  const [incoming] = (await once(outgoing, "response")) as [IncomingMessage];
  await buffer(incoming);
  if (incoming.statusCode !== 200) throw new Error(`${url} answered ${incoming.statusCode}`);
}

/** Those that wrk-embed.lua sends. */
function textAt(index: number): string {
  const subjects = [
    "The quick brown fox",
    "A small harbour town",
    "The night train to Vienna",
    "An old lighthouse keeper",
  ];
  const verbs = ["jumps over", "looks back at", "writes a letter to", "waits for"];
  const objects = ["the lazy dog.", "a silent river.", "seven grey geese.", "the first snow of the year."];
  return [subjects[index % 4], verbs[(index >> 2) % 4], objects[(index >> 4) % 4]].join(" ");
}

function table(figures: readonly HomeFigures[]): string {
  const head = ["home", "P50 ms", "added ms", "texts/s", "served/raw"];
  const rows = figures.map(({ home, p50Ms, addedMs, textsPerSecond, servedToRaw }) => [
    home,
    p50Ms.toFixed(2),
    addedMs.toFixed(2),
    textsPerSecond.toFixed(0),
    servedToRaw.toFixed(2),
  ]);
  const widths = head.map((title, at) => Math.max(title.length, ...rows.map((row) => row[at]?.length ?? 0)));
  const line = ([home = "", ...cells]: readonly string[]): string =>
    [home.padEnd(widths[0] ?? 0), ...cells.map((cell, at) => cell.padStart(widths[at + 1] ?? 0))].join("  ");
  return [line(head), ...rows.map(line)].join("\n");
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

function leave(text: string, exitCode: number): never {
  (exitCode === 0 ? process.stdout : process.stderr).write(`${text}\n`);
  process.exit(exitCode);
}
