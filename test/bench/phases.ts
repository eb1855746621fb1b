import { execFile } from "node:child_process";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { join } from "node:path";
import { promisify } from "node:util";
import type { WorkerPool } from "../../runtime/pool/worker-pool.ts";
import { startRealHost } from "../doubles/real-host.ts";
import { measureLoad } from "./load.ts";
import { nowOfMachineMs } from "./machine-clock.ts";

const run = promisify(execFile);

/** Where the time of one request goes that has the host for itself; medians, in the order in which they pass. */
export interface PhaseResult {
  readonly phases: readonly { readonly name: string; readonly ms: number }[];
  /** What a client in Node sees. */
  readonly totalMs: number;
}

/** Instants of one request, on the machine's clock. */
interface Marks {
  readonly arrived: number;
  readonly batchSent: number;
  readonly batchDone: number;
  readonly computeMs: number;
  readonly answered: number;
}

/** One text at a time from another process, after `warmUpRequests`. */
export async function measurePhases(options: {
  readonly requests: number;
  readonly warmUpRequests: number;
}): Promise<PhaseResult> {
  const marks: Partial<Record<keyof Marks, number>>[] = [];
  const note = (values: Partial<Record<keyof Marks, number>>): void => void Object.assign(marks.at(-1) ?? {}, values);
  const host = await startRealHost({ wrapPool: (pool) => watched(pool, note) });
  const onArrival = (): void => void marks.push({ arrived: nowOfMachineMs() });
  const onAnswer = (): void => note({ answered: nowOfMachineMs() });
  subscribe("http.server.request.start", onArrival);
  subscribe("http.server.response.finish", onAnswer);
  try {
    const url = `${host.url}/api/v1/embed`;
    for (let done = 0; done < options.warmUpRequests;) {
      done += Math.max(1, (await measureLoad({ url, connections: 100, seconds: 2 })).requests);
    }
    marks.length = 0;
    const body = JSON.stringify({ texts: ["The quick brown fox jumps over the lazy dog."] });
    const client = [join(import.meta.dirname, "one-by-one.ts"), url, String(options.requests), body];
    const { stdout } = await run(process.execPath, client, { maxBuffer: 2 ** 26 });
    return toPhases(marks as readonly Marks[], JSON.parse(stdout) as readonly (readonly [number, number])[]);
  } finally {
    unsubscribe("http.server.request.start", onArrival);
    unsubscribe("http.server.response.finish", onAnswer);
    await host.close();
  }
}

function watched(pool: WorkerPool, note: (values: Partial<Record<keyof Marks, number>>) => void): WorkerPool {
  return {
    ...pool,
    async run(workerId, request) {
      note({ batchSent: nowOfMachineMs() });
      const result = await pool.run(workerId, request);
      note({ batchDone: nowOfMachineMs(), computeMs: result.computeMs });
      return result;
    },
  };
}

function toPhases(marks: readonly Marks[], client: readonly (readonly [number, number])[]): PhaseResult {
  const rows = marks.map((mark, index) => {
    const [sent = Number.NaN, received = Number.NaN] = client[index] ?? [];
    return [
      mark.arrived - sent,
      mark.batchSent - mark.arrived,
      mark.batchDone - mark.batchSent - mark.computeMs,
      mark.computeMs,
      mark.answered - mark.batchDone,
      received - mark.answered,
    ];
  });
  const names = [
    "client → host: socket, HTTP",
    "host: function, queue, permit",
    "host ↔ worker: frames, threads",
    "worker: tokens, forward pass, JSON",
    "host: answer",
    "host → client: socket, HTTP",
  ];
  // The first requests of the client run in code that is not compiled yet.
  const warm = rows.slice(Math.floor(rows.length / 2));
  return {
    phases: names.map((name, phase) => ({ name, ms: median(warm.map((row) => row[phase] ?? Number.NaN)) })),
    totalMs: median(warm.map((row) => row.reduce((sum, ms) => sum + ms, 0))),
  };
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}
