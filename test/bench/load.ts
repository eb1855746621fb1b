import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import autocannon from "autocannon";

const run = promisify(execFile);
const script = join(import.meta.dirname, "wrk-embed.lua");

/** What one load run measured; times as the client saw them. */
export interface LoadResult {
  readonly tool: "wrk" | "autocannon";
  readonly requestsPerSecond: number;
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly p99Ms: number;
  readonly requests: number;
  /** Share of requests that got no 200. */
  readonly errorRate: number;
}

export interface Load {
  readonly url: string;
  readonly connections: number;
  readonly seconds: number;
  /** Request bodies, in turn. Default: one short text each. */
  readonly bodies?: readonly string[];
}

/**
 * Closed loop: each connection sends its next request when the last one is answered.
 *
 * wrk where installed, which takes 0.03 ms of a core for a request, else autocannon, which takes 0.15 ms: what it takes on
 * a machine that is all workers' is missing from what is served.
 */
export async function measureLoad(load: Load): Promise<LoadResult> {
  try {
    return await measureWithWrk(load);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    return await measureWithAutocannon(load);
  }
}

async function measureWithWrk({ url, connections, seconds, bodies }: Load): Promise<LoadResult> {
  const folder = await mkdtemp(join(tmpdir(), "embedge-bench-"));
  try {
    const env = { ...process.env };
    if (bodies !== undefined) {
      env["BODIES"] = join(folder, "bodies");
      await writeFile(env["BODIES"], bodies.join("\n"));
    }
    const threads = Math.min(2, connections);
    const options = [
      `-t${threads}`,
      `-c${connections}`,
      `-d${seconds}s`,
      "--latency",
      "--timeout",
      "60s",
      "-s",
      script,
    ];
    const { stdout } = await run("wrk", [...options, url], { env });
    const line = stdout.split("\n").findLast((text) => text.startsWith("{"));
    if (line === undefined) throw new Error(`wrk printed no result:\n${stdout}`);
    return { tool: "wrk", ...(JSON.parse(line) as Omit<LoadResult, "tool">) };
  } finally {
    await rm(folder, { recursive: true });
  }
}

const DEFAULT_BODIES = [JSON.stringify({ texts: ["The quick brown fox jumps over the lazy dog."] })];

function measureWithAutocannon({ url, connections, seconds, bodies = DEFAULT_BODIES }: Load): Promise<LoadResult> {
  const timesMs: number[] = [];
  const { promise, resolve, reject } = Promise.withResolvers<LoadResult>();
  const options: autocannon.Options = {
    url,
    connections,
    duration: seconds,
    timeout: 60,
    method: "POST",
    headers: { "content-type": "application/json" },
    requests: bodies.map((body) => ({ body })),
  };
  const instance = autocannon(options, (error: unknown, result) => {
    if (error !== null && error !== undefined) return reject(error);
    timesMs.sort((a, b) => a - b);
    const { requests, errors, non2xx } = result;
    return resolve({
      tool: "autocannon",
      requestsPerSecond: requests.average,
      p50Ms: percentile(timesMs, 50),
      p95Ms: percentile(timesMs, 95),
      p99Ms: percentile(timesMs, 99),
      requests: requests.total,
      errorRate: (errors + non2xx) / Math.max(1, requests.total + errors),
    });
  });
  // autocannon's own summary has no 95th percentile.
  instance.on("response", (_client, _status, _bytes, timeMs) => timesMs.push(timeMs));
  return promise;
}

/** Nearest rank; `sorted` ascending. */
export function percentile(sorted: readonly number[], percent: number): number {
  return sorted[Math.max(0, Math.ceil((sorted.length * percent) / 100) - 1)] ?? Number.NaN;
}
