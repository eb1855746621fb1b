import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import type { Clock } from "../clock.ts";
import type { OutputStream, WorkerLoss } from "./pool-events.ts";

export interface WorkerProcessOptions {
  readonly commandLine: readonly [file: string, ...args: string[]];
  /** The whole environment but TMPDIR, which is a private folder that goes with the process. */
  readonly environment: Readonly<Record<string, string>>;
  readonly clock: Clock;
  /** What came out of fd 3. */
  readonly onData: (chunk: Uint8Array) => void;
  /** Fd 3 takes bytes again. */
  readonly onDrain: () => void;
  readonly onOutput: (stream: OutputStream, chunk: Uint8Array) => void;
  /** Told once, never from inside `startWorkerProcess`: the process ended, could not start, or closed fd 3. */
  readonly onEnd: (loss: WorkerLoss) => void;
}

export interface WorkerProcess {
  /** Undefined when it could not be started. */
  readonly pid: number | undefined;
  /** False when fd 3 takes no more for now: wait for `onDrain`. */
  write(bytes: Uint8Array): boolean;
  /** SIGKILL, which a stopped process cannot escape, to the worker and whatever it started. */
  kill(): void;
  /** Resolves when the process is reaped, its output read and its private folder removed. */
  readonly gone: Promise<void>;
}

/** A process that dies closes fd 3 a moment before its exit can be seen, and the exit tells more. */
const EXIT_AFTER_PIPE_END_MS = 25;
/** Output still in the pipes is read for so long; a grandchild outside the process group could hold them open for ever. */
const OUTPUT_AFTER_EXIT_MS = 250;

/** Starts a worker as the leader of its own process group, with fd 3 as a duplex socket. Never throws. */
export function startWorkerProcess(options: WorkerProcessOptions): WorkerProcess {
  let folder: string | undefined;
  try {
    // Mode 0700, as mkdtemp makes it.
    folder = mkdtempSync(join(tmpdir(), "embedge-worker-"));
    const [file, ...args] = options.commandLine;
    const child = spawn(file, args, {
      detached: true,
      stdio: ["ignore", "pipe", "pipe", "pipe"],
      env: { ...options.environment, TMPDIR: folder },
    });
    if (child.pid !== undefined) preferInOutOfMemory(child.pid);
    return superviseChild(child, folder, options);
  } catch (error) {
    const loss = spawnLoss(error, options.commandLine[0]);
    queueMicrotask(() => options.onEnd(loss));
    return { pid: undefined, write: () => true, kill: () => {}, gone: removeFolder(folder) };
  }
}

function superviseChild(child: ChildProcess, folder: string, options: WorkerProcessOptions): WorkerProcess {
  const { pid } = child;
  const pipe = child.stdio?.[3];
  let isReaped = false;
  let hasEnded = false;
  let pipeEndTimer: { clear(): void } | undefined;

  const kill = (): void => {
    if (pid !== undefined && !isReaped) killGroup(pid);
    if (pipe instanceof Socket) pipe.destroy();
  };
  const end = (loss: WorkerLoss): void => {
    pipeEndTimer?.clear();
    if (!hasEnded) options.onEnd(loss);
    hasEnded = true;
  };

  child.on("error", (error) => {
    if (pid === undefined) end(spawnLoss(error, options.commandLine[0]));
  });
  child.on("exit", (code, signal) => {
    // What the worker started may outlive it and hold its pipes. Its group keeps the number from being given out again as long as
    // one member lives; after this moment the number is nobody's business of ours.
    kill();
    isReaped = true;
    end({ reason: "exited", message: describeExit(code, signal) });
  });

  if (pipe instanceof Socket) {
    pipe.on("data", options.onData);
    pipe.on("drain", options.onDrain);
    pipe.on("error", () => {}); // ECONNRESET or EPIPE: the far end is gone, and "close" follows.
    pipe.on("close", () => {
      if (hasEnded) return;
      const atMs = options.clock.nowMs() + EXIT_AFTER_PIPE_END_MS;
      pipeEndTimer = options.clock.setTimer(atMs, () => end({ reason: "pipe_closed", message: "closed fd 3" }));
    });
  }
  for (const stream of ["stdout", "stderr"] as const) {
    child[stream]?.on("data", (chunk: Uint8Array) => options.onOutput(stream, chunk));
    child[stream]?.on("error", () => {}); // A log that cannot be read is no reason to fail.
  }
  return {
    pid,
    write: (bytes) => !(pipe instanceof Socket) || pipe.write(bytes),
    kill,
    gone: closed(child, options.clock).then(() => removeFolder(folder)),
  };
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // ESRCH: all gone. EPERM: macOS says so of a group of zombies.
  }
}

/** When memory runs out Linux shall end a worker, which is restarted, and not the host, which is not. */
function preferInOutOfMemory(pid: number): void {
  if (process.platform !== "linux") return;
  // The process may be gone already, and a container may not allow it.
  writeFile(`/proc/${pid}/oom_score_adj`, "500").catch(() => {});
}

/** Resolves when the child has exited (or never started) and its pipes are at their end, or have been given up. */
function closed(child: ChildProcess, clock: Clock): Promise<void> {
  return new Promise((resolve) => {
    child.once("close", () => resolve());
    child.once("error", () => {
      if (child.pid === undefined) resolve();
    });
    child.once("exit", () => {
      const timer = clock.setTimer(clock.nowMs() + OUTPUT_AFTER_EXIT_MS, () => {
        for (const stream of child.stdio) stream?.destroy();
      });
      child.once("close", () => timer.clear());
    });
  });
}

async function removeFolder(folder: string | undefined): Promise<void> {
  if (folder === undefined) return;
  // Left for the system's own cleaning where it cannot be removed: nothing depends on it.
  await rm(folder, { recursive: true, force: true }).catch(() => {});
}

const SIGNAL_HINTS: Readonly<Record<string, string>> = {
  SIGKILL: "; this host did not send it, so the system may be out of memory",
  SIGILL: "; MLX or the BLAS in use was built for another processor",
};

function describeExit(code: number | null, signal: NodeJS.Signals | null): string {
  if (signal === null) return `ended with exit code ${code} without being asked to`;
  return `was ended by ${signal}${SIGNAL_HINTS[signal] ?? ""}`;
}

const SPAWN_HINTS: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file; a start of embedge sets it up again",
  EACCES: "it may not be executed; a start of embedge sets it up again",
  EAGAIN: "the system allows no more processes",
};

function spawnLoss(error: unknown, file: string): WorkerLoss {
  const code = error instanceof Error && "code" in error ? String(error.code) : "unknown";
  return {
    reason: "spawn_failed",
    message: `could not be started from ${file} (${code}): ${SPAWN_HINTS[code] ?? "the system refused it"}`,
  };
}
