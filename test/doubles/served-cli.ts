import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import type { Server } from "node:net";
import path from "node:path";
import { makeFakeModel } from "./fake-model.ts";
import type { FakeWorkerScript } from "./fake-python-worker.ts";
import { until } from "./wait.ts";

/** `embedge serve` as a process of its own, over fake workers. */
export interface ServedCli extends AsyncDisposable {
  readonly child: ChildProcess;
  /** What it told people on stdout so far. */
  said(): string;
  /** What it wrote to stderr so far: log lines, or why it does not start. */
  logged(): string;
  /** Resolves with the text, once it stands in `said()`. */
  untilSaid(text: string): Promise<string>;
  /** The address, once the host listens. */
  url(): Promise<string>;
  post(text: string): Promise<Response>;
  /** By its own metrics. */
  batchesStarted(): Promise<number>;
  /** Every worker process ever started. */
  workerPids(): readonly number[];
  /** Resolves with exit code and signal. */
  readonly exited: Promise<readonly [code: number | null, signal: string | null]>;
}

const runtime = path.join(import.meta.dirname, "../../runtime/cli.ts");

/** Node has no public name for it. */
function descriptorOf(socket: Server): number {
  return Number(Reflect.get(Object(Reflect.get(socket, "_handle")), "fd"));
}

export interface ServedCliOptions {
  /** False: the model is that of the settings. */
  readonly isModelGiven?: boolean;
  /** Passed on as systemd does, which the process number is part of. */
  readonly socket?: Server;
  /** `ulimit -n`. */
  readonly descriptorsMax?: number;
}

/** Starts it on a free port with two workers that follow `script`. */
export function serveWithFakeWorkers(
  script: FakeWorkerScript = {},
  args: readonly string[] = [],
  { isModelGiven = true, socket, descriptorsMax }: ServedCliOptions = {},
): ServedCli {
  const fake = makeFakeModel(script);
  const command = [process.execPath, runtime, "serve", "--port", "0", "--workers", "2", ...args];
  const limit = descriptorsMax === undefined ? "" : `ulimit -n ${descriptorsMax}; `;
  const passed = socket === undefined ? "" : "LISTEN_FDS=1 LISTEN_PID=$$ ";
  const child = spawn("/bin/sh", ["-c", `${limit}${passed}exec "$@"`, "sh", ...command], {
    cwd: path.join(import.meta.dirname, "../.."),
    env: {
      PATH: process.env["PATH"],
      ...fake.environment,
      ...(!isModelGiven && { EMBEDGE_MODEL: undefined }),
    },
    stdio: ["ignore", "pipe", "pipe", socket === undefined ? "ignore" : descriptorOf(socket)],
  });
  let text = "";
  let log = "";
  child.stdout?.setEncoding("utf8").on("data", (chunk: string) => {
    text += chunk;
  });
  child.stderr?.setEncoding("utf8").on("data", (chunk: string) => {
    log += chunk;
  });
  const exited = once(child, "close").then(([code, signal]) => [code, signal] as const);
  const said = (): string => text;
  const url = (): Promise<string> => until("it listens", () => /http:\/\/[\d.]+:\d+/.exec(text)?.[0]);
  return {
    child,
    said,
    logged: () => log,
    untilSaid: (wanted) => until(`it says ${wanted}`, () => text.includes(wanted) && text),
    url,
    async post(input) {
      const headers = { "content-type": "application/json" };
      return fetch(`${await url()}/api/v1/embed`, {
        method: "POST",
        headers,
        body: JSON.stringify({ texts: [input] }),
      });
    },
    async batchesStarted() {
      const metrics = await (await fetch(`${await url()}/metrics`)).text();
      return Number(/^embedding_gil_wait_seconds_count\S* (\d+)/m.exec(metrics)?.[1] ?? 0);
    },
    workerPids: fake.workerPids,
    exited,
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await exited;
      await fake.remove();
    },
  };
}
