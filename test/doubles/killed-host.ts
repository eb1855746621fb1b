import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";

import { isRunning } from "./pool-recorder.ts";
import type { PoolHostPlan, PoolHostReport } from "./pool-host.ts";
import { withTimeout } from "./wait.ts";

/** Starts a host as a process of its own and resolves with the pids of its workers, ready and busy with the batch of the plan. */
export async function startHostToKill(plan: PoolHostPlan): Promise<HostToKill> {
  const host = spawn(process.execPath, [join(import.meta.dirname, "pool-host.ts"), JSON.stringify(plan)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const lines = once(createInterface(host.stdout), "line");
  const [line] = await withTimeout(lines, "the workers of the host", 30_000).catch((error: unknown) => {
    host.kill("SIGKILL");
    throw error;
  });
  const { pids }: PoolHostReport = JSON.parse(String(line));
  return {
    pids,
    async kill() {
      host.kill("SIGKILL");
      await once(host, "exit");
    },
    [Symbol.dispose]() {
      host.kill("SIGKILL");
      for (const pid of pids.filter(isRunning)) process.kill(pid, "SIGKILL");
    },
  };
}

export interface HostToKill extends Disposable {
  readonly pids: readonly number[];
  /** SIGKILL; resolves when the host is gone. */
  kill(): Promise<void>;
}
