import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import type { BatchRequest, ReadyWorker } from "../../runtime/pool/worker-pool.ts";
import { startHostToKill } from "../doubles/killed-host.ts";
import { pidOf } from "../doubles/fake-pool.ts";
import { commandLineOf, createPoolRecorder, isRunning } from "../doubles/pool-recorder.ts";
import { makeRealPool, realPoolSettings, type RealPool } from "../doubles/real-pool.ts";
import { REAL_MODEL } from "../doubles/real-worker.ts";
import { until } from "../doubles/wait.ts";

const limit = { timeout: 60_000 };
/** Texts of 256 tokens, all in one forward pass that takes several seconds. */
const longBatch: BatchRequest = {
  model: REAL_MODEL,
  pooling: "default",
  normalize: true,
  texts: Array.from({ length: 128 }, (_, at) => `${at} `.repeat(300)),
};
const budgetTokens = 128 * 256;

describe("a Python worker whose host is killed by SIGKILL", () => {
  test("is gone within a second while it waits (W43)", limit, async () => {
    using host = await startHostToKill({ pool: realPoolSettings() });
    await host.kill();
    await until("no worker is left", () => !host.pids.some(isRunning), 1_000);
  });

  test("is gone within a second out of a long call into MLX (W43)", limit, async () => {
    using host = await startHostToKill({ pool: { ...realPoolSettings(), budgetTokens }, batch: longBatch });
    const [pid = 0] = host.pids;
    await untilItComputes(pid);
    await host.kill();
    await until("no worker is left", () => !isRunning(pid), 1_000);
  });
});

describe("a Python worker", () => {
  const recorder = createPoolRecorder();
  let real: RealPool;
  let worker: ReadyWorker;
  let pid: number;

  beforeAll(async () => {
    real = makeRealPool({ budgetTokens });
    await real.pool.start(recorder);
    worker = (await recorder.untilLive(1))[0] ?? expect.unreachable();
    pid = pidOf(real.pool, worker.id);
  }, 60_000);
  afterAll(() => real[Symbol.asyncDispose]());

  test("is found by its name, `embed_worker`", () => {
    expect(commandLineOf(pid)).toContain("embed_worker");
  });

  test.runIf(process.platform === "linux")("gives fd 3 to no process that it starts (W42)", () => {
    const [, flags = ""] = /^flags:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/fdinfo/3`, "utf8")) ?? [];
    const O_CLOEXEC = 0o2000000;
    expect(Number.parseInt(flags, 8) & O_CLOEXEC).toBe(O_CLOEXEC);
  });

  test("that is killed in a batch fails it, and its successor answers it (W01)", limit, async () => {
    const running = real.pool.run(worker.id, longBatch);
    await untilItComputes(pid);
    process.kill(pid, "SIGKILL");
    await expect(running).rejects.toMatchObject({ kind: "worker_lost" });
    const [successor] = await recorder.untilLive(1);
    const retry = await real.pool.run(successor?.id ?? "", { ...longBatch, texts: longBatch.texts.slice(0, 2) });
    expect(retry.vectors.rows).toBe(2);
  });
});

/** The batch of the plan has just begun when its processor time has grown by a second. */
async function untilItComputes(pid: number): Promise<void> {
  const startSeconds = processorSeconds(pid);
  await until("the worker computes", () => processorSeconds(pid) > startSeconds);
}

/** Whole seconds, from `ps`: `[[days-]hours:]minutes:seconds`. */
function processorSeconds(pid: number): number {
  const { stdout } = spawnSync("ps", ["-o", "cputime=", "-p", String(pid)], { encoding: "utf8" });
  return stdout
    .trim()
    .split(/[:-]/)
    .reduce((sum, part) => sum * 60 + Math.floor(Number(part)), 0);
}
