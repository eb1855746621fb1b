import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { makeFakeModel } from "./fake-model.ts";
import { until } from "./wait.ts";

/** `embedge dev` as a process of its own, over one fake worker. */
export interface DevCli extends AsyncDisposable {
  readonly child: ChildProcess;
  /** Resolves with the address, once `/readyz` answers 200. */
  ready(): Promise<string>;
  /** Everything that it printed or logged. */
  output(): string;
  /** Every process that it started and that is alive, at any depth. */
  processes(): readonly Process[];
  /** Resolves with exit code and signal. */
  readonly exited: Promise<readonly [code: number | null, signal: string | null]>;
}

export interface Process {
  readonly pid: number;
  readonly command: string;
}

const cli = path.join(import.meta.dirname, "../../runtime/cli.ts");

export function startDevCli(args: readonly string[], cwd: string): DevCli {
  const model = makeFakeModel();
  const child = spawn(process.execPath, [cli, "dev", "--port", "0", "--workers", "1", ...args], {
    cwd,
    env: { PATH: process.env["PATH"], HOME: process.env["HOME"], ...model.environment },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (chunk: string) => {
      output += chunk;
    });
  }
  // Not "close": what outlives it would hold its output.
  const exited = once(child, "exit").then(([code, signal]) => [code, signal] as const);
  const processes = (): readonly Process[] => childrenOf(child.pid ?? 0);
  return {
    child,
    output: () => output,
    processes,
    exited,
    async ready() {
      const url = await until(
        "it listens",
        () => {
          if (child.exitCode !== null) throw new Error(`it ended:\n${output}`);
          return /http:\/\/[\d.]+:\d+/.exec(output)?.[0];
        },
        30_000,
      );
      await until("it is ready", async () => (await fetch(`${url}/readyz`)).status === 200, 30_000);
      return url;
    },
    async [Symbol.asyncDispose]() {
      const left = processes();
      child.kill("SIGKILL");
      await exited;
      await until("its processes are gone", () => alive(left).length === 0);
      await model.remove();
    },
  };
}

/** Those of them that still run. */
export function alive(processes: readonly Process[]): readonly Process[] {
  const running = new Map(list().map(({ pid, command }) => [pid, command]));
  return processes.filter(({ pid, command }) => running.get(pid) === command);
}

/** Those below one, at any depth. */
export function childrenOf(root: number): readonly Process[] {
  const all = list();
  const found = [root];
  for (const parent of found) found.push(...all.filter(({ parentPid }) => parentPid === parent).map(({ pid }) => pid));
  return all.filter(({ pid }) => pid !== root && found.includes(pid));
}

interface ListedProcess extends Process {
  readonly parentPid: number;
}

function list(): readonly ListedProcess[] {
  const text = execFileSync("ps", ["-axww", "-o", "pid=,ppid=,stat=,args="], { encoding: "utf8" });
  return text.split("\n").flatMap((line) => {
    const [, pid, parentPid, state = "", command = ""] = /^\s*(\d+)\s+(\d+)\s+(\S+)\s+(.*)$/.exec(line) ?? [];
    // A zombie only waits to be reaped.
    return state === "" || state.startsWith("Z") ? [] : [{ pid: Number(pid), parentPid: Number(parentPid), command }];
  });
}
