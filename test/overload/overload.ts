import { spawn } from "node:child_process";
import { once } from "node:events";
import { Agent, request } from "node:http";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { makeFakeModel } from "../doubles/fake-model.ts";

export interface OverloadPhase {
  /** Requests a second over what the host can do. */
  readonly factor: number;
  readonly offeredPerSecond: number;
  /** Answers with vectors within the deadline, a second, over the capacity. */
  readonly goodput: number;
  /** Of the answers with vectors. */
  readonly p99Ms: number;
  readonly statuses: Readonly<Record<string, number>>;
  /** From the end of the load until a request takes no longer than usual. */
  readonly normalAfterMs: number;
}

export interface OverloadResult {
  /** Requests a second that the host answers, measured by clients that wait for each answer. */
  readonly capacity: number;
  readonly deadlineMs: number;
  readonly phases: readonly OverloadPhase[];
}

const CONNECTIONS = 1_000;
const DEADLINE_MS = 1_000;
const TICK_MS = 10;
/** Ten times what a request takes alone. */
const NORMAL_MS = 250;

/** Requests at a steady rate, whether answered or not, over a thousand connections: at each factor of the measured capacity. */
export async function runOverload(factors: readonly number[], secondsEach: number): Promise<OverloadResult> {
  const model = makeFakeModel();
  const child = spawn(process.execPath, [join(import.meta.dirname, "host.ts"), model.folder], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  try {
    const [line] = (await once(child.stdout, "data")) as [Buffer];
    const ask = (): Promise<Answer> => embed(line.toString().trim(), agent);
    const capacity = await measureCapacity(ask);
    const phases: OverloadPhase[] = [];
    for (const factor of factors) phases.push(await overload(ask, { factor, capacity, seconds: secondsEach }));
    return { capacity, deadlineMs: DEADLINE_MS, phases };
  } finally {
    agent.destroy();
    child.kill("SIGKILL");
    await once(child, "exit");
    await model.remove();
  }
}

interface Answer {
  readonly status: number;
  readonly tookMs: number;
}

async function measureCapacity(ask: () => Promise<Answer>): Promise<number> {
  const MEASURED_MS = 3_000;
  let answered = 0;
  const endAtMs = performance.now() + MEASURED_MS;
  await Promise.all(
    Array.from({ length: 16 }, async () => {
      while (performance.now() < endAtMs) if ((await ask()).status === 200) answered += 1;
    }),
  );
  return answered / (MEASURED_MS / 1_000);
}

async function overload(
  ask: () => Promise<Answer>,
  { factor, capacity, seconds }: { readonly factor: number; readonly capacity: number; readonly seconds: number },
): Promise<OverloadPhase> {
  const answers: Promise<Answer>[] = [];
  const startMs = performance.now();
  for (let nowMs = startMs; nowMs < startMs + seconds * 1_000; nowMs = performance.now()) {
    // What a late tick has missed is made up for.
    const due = ((nowMs - startMs) / 1_000) * factor * capacity;
    while (answers.length < due) answers.push(ask());
    await delay(TICK_MS);
  }
  const offeredPerSecond = answers.length / ((performance.now() - startMs) / 1_000);
  const loadEndedMs = performance.now();
  while ((await ask()).tookMs > NORMAL_MS) await delay(TICK_MS);
  const normalAfterMs = performance.now() - loadEndedMs;

  const ended = await Promise.all(answers);
  const good = ended.filter(({ status, tookMs }) => status === 200 && tookMs <= DEADLINE_MS);
  const served = ended.flatMap(({ status, tookMs }) => (status === 200 ? tookMs : [])).toSorted((a, b) => a - b);
  const statuses = Object.fromEntries(
    [...Map.groupBy(ended, ({ status }) => status)].map(([status, all]) => [status, all.length]),
  );
  const goodput = good.length / seconds / capacity;
  const p99Ms = served[Math.ceil(served.length * 0.99) - 1] ?? Infinity;
  return { factor, offeredPerSecond, goodput, p99Ms, statuses, normalAfterMs };
}

/** Status 0: no answer. */
function embed(url: string, agent: Agent): Promise<Answer> {
  const body = '{"texts":["one text"]}';
  const headers = {
    "content-type": "application/json",
    "content-length": body.length,
    "x-request-timeout-ms": String(DEADLINE_MS),
  };
  const startMs = performance.now();
  return new Promise((resolve) => {
    const outgoing = request(`${url}/api/v1/embed`, { method: "POST", agent, headers }, (incoming) => {
      incoming.resume();
      incoming.on("end", () => resolve({ status: incoming.statusCode ?? 0, tookMs: performance.now() - startMs }));
    });
    outgoing.on("error", () => resolve({ status: 0, tookMs: performance.now() - startMs }));
    outgoing.end(body);
  });
}
