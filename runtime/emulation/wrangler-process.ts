import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import type { Clock } from "../clock.ts";
import { attemptAfterLoss, restartDelayMs } from "../pool/restart-backoff.ts";
import type { ChildCommand, ChildMessage, ChildOptions } from "./child.ts";

export interface WranglerProcessOptions {
  readonly clock: Clock;
  /** From [0, 1). */
  readonly random: () => number;
  /** Told of what goes wrong. */
  readonly log: (message: string) => void;
  /** Told where workerd listens; undefined: nowhere any more. */
  readonly onServing: (target: URL | undefined) => void;
}

/** wrangler with its workerd in a process group of its own, started again whenever it ends. */
export interface WranglerProcess {
  /** Resolves when workerd serves; rejects where it cannot start. */
  start(options: ChildOptions): Promise<void>;
  /** Kills it; it is started again. */
  restart(): void;
  /** Resolves when no process is left. */
  stop(): Promise<void>;
  /** The same at once, for a process that is about to exit. */
  kill(): void;
}

const STOP_MS_MAX = 3_000;

export function createWranglerProcess({ clock, random, log, onServing }: WranglerProcessOptions): WranglerProcess {
  let child: ChildProcess | undefined;
  let isStopping = false;
  let attempt = 0;

  /** One life; rejects where it ends before it serves. */
  function spawnOnce(options: ChildOptions): Promise<void> {
    const startedAtMs = clock.nowMs();
    const own = spawnGroup(options.configFile);
    child = own;
    tell(own, { type: "run", options });
    const ready = Promise.withResolvers<void>();
    own.on("message", (message: ChildMessage) => {
      if (message.type === "serving") {
        onServing(new URL(message.url));
        ready.resolve();
      } else if (message.type === "failed") ready.reject(new Error(message.message));
      else log(message.message);
    });
    own.once("exit", () => {
      killGroup(own);
      onServing(undefined);
      ready.reject(new Error("wrangler ended before it served; see above."));
      if (isStopping) return;
      const delayMs = restartDelayMs(attempt, random());
      attempt = attemptAfterLoss(attempt, clock.nowMs() - startedAtMs) + 1;
      log(`wrangler ended; it is started again in ${Math.round(delayMs)} ms.`);
      clock.setTimer(clock.nowMs() + delayMs, () => {
        if (!isStopping) spawnOnce(options).catch((error: unknown) => log(String(error)));
      });
    });
    return ready.promise;
  }

  const kill = (): void => {
    if (child !== undefined) killGroup(child);
  };
  return {
    async start(options) {
      try {
        await spawnOnce(options);
      } catch (error) {
        // Where the first start fails, the next one would too.
        isStopping = true;
        throw error;
      }
    },
    restart: kill,
    async stop() {
      isStopping = true;
      if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
      const exited = once(child, "exit");
      tell(child, { type: "stop" });
      const timer = clock.setTimer(clock.nowMs() + STOP_MS_MAX, kill);
      await exited;
      timer.clear();
    },
    kill() {
      isStopping = true;
      kill();
    },
  };
}

/** Beside this file, built or not. */
const CHILD = path.join(import.meta.dirname, `child${path.extname(import.meta.filename)}`);

function spawnGroup(configFile: string): ChildProcess {
  return spawn(process.execPath, [CHILD], {
    cwd: path.dirname(configFile),
    // A group of its own: Ctrl-C goes to the host alone, which ends this one in order.
    detached: true,
    // What functions print goes where the log goes.
    stdio: ["ignore", 2, 2, "ipc"],
  });
}

/** What cannot be told any more is no loss: the channel's end says it too. */
function tell(child: ChildProcess, command: ChildCommand): void {
  if (child.connected) child.send(command, () => {});
}

function killGroup({ pid }: ChildProcess): void {
  try {
    if (pid !== undefined) process.kill(-pid, "SIGKILL");
  } catch {
    // ESRCH: nothing of it is left.
  }
}
