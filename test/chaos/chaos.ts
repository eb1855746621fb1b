import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type Clock, systemClock } from "../../runtime/clock.ts";
import type { WorkerPool } from "../../runtime/pool/worker-pool.ts";
import { startRealHost } from "../doubles/real-host.ts";
import { makeRealPool } from "../doubles/real-pool.ts";
import { findRealWorker } from "../doubles/real-worker.ts";
import { startSteadyClients } from "../doubles/steady-clients.ts";
import { until } from "../doubles/wait.ts";
import { createChance } from "../simulation/random.ts";
import { watchRecovery } from "./recovery.ts";

export interface ChaosOptions {
  readonly seconds: number;
  readonly seed: number;
  /** Ends after so many faults, if the time does not end before. */
  readonly faultsMax?: number;
  readonly workers?: number;
  readonly spares?: number;
}

export interface ChaosResult {
  readonly answered: number;
  /** Requests that got anything but the vector of their text. */
  readonly failures: readonly string[];
  readonly faults: Readonly<Record<Fault, number>>;
  /** From a fault to the second start of each batch that it hit, while a spare stood by. Milliseconds, sorted. */
  readonly recoveryMs: readonly number[];
  /** Longest time a request took. */
  readonly slowestMs: number;
}

const single = ["kill", "stop", "stop and go on", "garbage", "half an answer", "stall"] as const;
export type Fault = (typeof single)[number] | "kill all";
const faults: readonly Fault[] = ["kill all", ...single];

/** A worker that hangs is given up after so long. */
const BATCH_TIMEOUT_MS = 1_000;
/** For the pool alone time runs so much faster: a minute of health is two seconds, and the longest wait for a restart is one. */
const POOL_HASTE = 30;
const HANG_MAX_MS = 2_500;
const TEXTS = 200;
const CLIENTS = 16;

/** Real MLX workers under load, and a fault every half a second or so, by chance from `seed`. */
export async function runChaos(options: ChaosOptions): Promise<ChaosResult> {
  const { seconds, seed, faultsMax = Infinity, workers = 2, spares = 1 } = options;
  const folder = mkdtempSync(join(tmpdir(), "embedge-chaos-"));
  const real = makeRealPool({
    command: proxied(folder),
    workers,
    spares,
    permits: 2 * workers,
    clock: hastened(systemClock),
    startTimeoutMs: 60_000 * POOL_HASTE,
  });
  const recovery = watchRecovery(real.pool);
  const host = await startRealHost({
    config: { pool: { batchTimeoutMs: BATCH_TIMEOUT_MS, permits: 2 * workers, workers } },
    wrapPool: () => recovery.pool,
  });
  try {
    const texts = Array.from({ length: TEXTS }, (_, at) => `text ${at}: ${"word ".repeat((at * 7) % 40)}`);
    const vectors = new Map<string, Float32Array>();
    for (const text of texts) vectors.set(text, (await host.embed([text])).vectors.data);
    const isReady = (): boolean => real.pool.status().workers.every(({ state }) => state === "ready");
    await until("all are ready", isReady, 60_000);

    const clients = startSteadyClients(host.url, {
      keepAlive: CLIENTS - 2,
      fresh: 2,
      textOf: (client, turn) => texts[(client * 31 + turn * 17) % TEXTS] ?? "",
      isVectorOf: (vector, text) => isClose(vector, vectors.get(text) ?? []),
    });
    const counts = await injectFaults({
      pool: real.pool,
      seed,
      seconds,
      faultsMax,
      beforeFault: recovery.noteFault,
      workers,
    });
    await clients.stop();
    return {
      answered: clients.answered,
      failures: clients.failures,
      faults: counts,
      recoveryMs: recovery.withSpareMs.toSorted((a, b) => a - b),
      slowestMs: clients.tookMs.reduce((most, ms) => Math.max(most, ms), 0),
    };
  } finally {
    await host.close();
    await real.close();
    rmSync(folder, { recursive: true });
  }
}

interface Injection {
  readonly pool: WorkerPool;
  readonly seed: number;
  readonly seconds: number;
  readonly faultsMax: number;
  readonly workers: number;
  readonly beforeFault: (pids: readonly number[], hasSpare: boolean) => void;
}

async function injectFaults({
  pool,
  seed,
  seconds,
  faultsMax,
  workers,
  beforeFault,
}: Injection): Promise<Record<Fault, number>> {
  const chance = createChance(seed);
  const counts = Object.fromEntries(faults.map((fault) => [fault, 0])) as Record<Fault, number>;
  const endAtMs = performance.now() + seconds * 1_000;
  /** They look ready until they are given up. */
  const hung = new Set<number>();
  for (let count = 0; count < faultsMax && performance.now() < endAtMs; count += 1) {
    await delay(chance.between(300, 1_500));
    const fault = chance.happens(0.05) ? "kill all" : chance.pick(single);
    // A text whose every worker dies under it looks guilty to anybody: one worker at most is missing before the next is hit.
    const enough = pool.status().workers.length - (chance.happens(0.3) ? 1 : 0);
    const healthy = (): readonly number[] => readyPids(pool).filter((pid) => !hung.has(pid));
    while (healthy().length < enough && performance.now() < endAtMs) await delay(10);
    const ready = healthy();
    const victim = ready[chance.between(0, Math.max(0, ready.length - 1))];
    if (victim === undefined || performance.now() >= endAtMs) continue;
    if (isHanging(fault)) {
      hung.add(victim);
      // A spare that hangs is asked nothing, so nothing gives it up.
      setTimeout(() => {
        inflict("kill", victim, 0);
        hung.delete(victim);
      }, HANG_MAX_MS).unref();
    }
    counts[fault] += 1;
    const isSudden = fault === "kill" || fault === "garbage";
    beforeFault(isSudden ? [victim] : [], ready.length > workers);
    for (const pid of fault === "kill all" ? ready : [victim]) inflict(fault, pid, chance.between(50, 500));
  }
  return counts;
}

function isHanging(fault: Fault): boolean {
  return fault === "stop" || fault === "stall" || fault === "half an answer";
}

function readyPids(pool: WorkerPool): readonly number[] {
  return pool.status().workers.flatMap(({ pid, state }) => (state === "ready" && pid !== undefined ? pid : []));
}

/** The worker's process leads a group: the proxy of the wire and Python behind it. */
function inflict(fault: Fault, pid: number, pauseMs: number): void {
  const send = (to: number, signal: NodeJS.Signals): void => {
    try {
      process.kill(to, signal);
    } catch {
      // It has gone meanwhile, by another fault.
    }
  };
  switch (fault) {
    case "kill":
    case "kill all":
      return send(-pid, "SIGKILL");
    case "stop":
      return send(-pid, "SIGSTOP");
    case "stop and go on":
      send(-pid, "SIGSTOP");
      setTimeout(() => send(-pid, "SIGCONT"), pauseMs);
      return;
    case "garbage":
      return send(pid, "SIGUSR2");
    case "half an answer":
      return send(pid, "SIGHUP");
    case "stall":
      return send(pid, "SIGALRM");
  }
}

/** The real worker's command behind the proxy, as one file that stands in for Python. */
function proxied(folder: string): readonly [string, ...string[]] {
  const { command } = findRealWorker();
  const file = join(folder, "python");
  const proxy = join(import.meta.dirname, "wire-proxy.ts");
  writeFileSync(file, `#!/bin/sh\nexec "${process.execPath}" "${proxy}" "${command[0]}" "$@"\n`, { mode: 0o755 });
  return [file, ...command.slice(1)];
}

function hastened(clock: Clock): Clock {
  return {
    nowMs: () => clock.nowMs() * POOL_HASTE,
    setTimer: (atMs, fire) => clock.setTimer(atMs / POOL_HASTE, fire),
  };
}

function isClose(vector: readonly number[], expected: ArrayLike<number>): boolean {
  return vector.length === expected.length && vector.every((value, at) => Math.abs(value - (expected[at] ?? 0)) < 1e-4);
}
