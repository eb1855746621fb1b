import { Agent, request } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { percentile } from "./load.ts";

/** What a load run measured whose requests do not wait for answers. */
export interface OpenLoadResult {
  readonly offeredPerSecond: number;
  /** Answers with 200. */
  readonly answeredPerSecond: number;
  readonly p50Ms: number;
  readonly p95Ms: number;
  /** Share of requests that got no 200. */
  readonly errorRate: number;
}

export interface OpenLoad {
  readonly url: string;
  readonly requestsPerSecond: number;
  readonly seconds: number;
  readonly bodies: readonly string[];
}

/** Of each request that is over: its time from the instant at which it was due, and whether it got a 200. */
interface Outcome {
  readonly ms: number;
  readonly isGood: boolean;
}

/** Open loop: requests leave at even distances whatever comes back. Times count from when a request was due, so that a stall is not left out. */
export async function measureOpenLoad({ url, requestsPerSecond, seconds, bodies }: OpenLoad): Promise<OpenLoadResult> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1_024 });
  const startAtMs = performance.now();
  const pending: Promise<Outcome>[] = [];
  for (let sent = 0; sent < requestsPerSecond * seconds;) {
    const dueMs = performance.now() - startAtMs;
    for (; (sent * 1_000) / requestsPerSecond <= dueMs && sent < requestsPerSecond * seconds; sent++) {
      const dueAtMs = startAtMs + (sent * 1_000) / requestsPerSecond;
      pending.push(post({ url, agent, body: bodies[sent % bodies.length] ?? "", dueAtMs }));
    }
    await delay(1);
  }
  const outcomes = await Promise.all(pending);
  agent.destroy();
  const tookSeconds = (performance.now() - startAtMs) / 1_000;
  const good = outcomes.filter(({ isGood }) => isGood);
  const timesMs = good.map(({ ms }) => ms).toSorted((a, b) => a - b);
  return {
    offeredPerSecond: requestsPerSecond,
    answeredPerSecond: good.length / tookSeconds,
    p50Ms: percentile(timesMs, 50),
    p95Ms: percentile(timesMs, 95),
    errorRate: 1 - good.length / outcomes.length,
  };
}

interface Post {
  readonly url: string;
  readonly agent: Agent;
  readonly body: string;
  readonly dueAtMs: number;
}

/** Never rejects. */
function post({ url, agent, body, dueAtMs }: Post): Promise<Outcome> {
  const { promise, resolve } = Promise.withResolvers<Outcome>();
  const end = (isGood: boolean): void => resolve({ ms: performance.now() - dueAtMs, isGood });
  const outgoing = request(url, { agent, method: "POST", headers: { "content-type": "application/json" } });
  outgoing.on("response", (incoming) => {
    incoming.on("end", () => end(incoming.statusCode === 200)).on("error", () => end(false));
    incoming.resume();
  });
  outgoing.on("error", () => end(false)).end(body);
  return promise;
}
