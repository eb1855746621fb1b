import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { fakeBatch, fakePoolSettings } from "../doubles/fake-pool.ts";
import { startHostToKill } from "../doubles/killed-host.ts";
import { isRunning, processState } from "../doubles/pool-recorder.ts";
import { until } from "../doubles/wait.ts";

describe("when the host is killed by SIGKILL", () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "fake-model-"));
    await writeFile(join(folder, "fake.json"), "{}");
  });
  afterAll(() => rm(folder, { recursive: true }));

  test("its workers are gone within a second, in the middle of a batch too (W43)", async () => {
    const pool = { ...fakePoolSettings(folder), workers: 2 };
    using host = await startHostToKill({ pool, batch: fakeBatch("fault:stall") });
    expect(host.pids.filter(isRunning)).toHaveLength(2);
    await host.kill();
    await until("no worker is left", () => !host.pids.some(isRunning), 1_000);
  });

  test("a worker that is stopped by SIGSTOP dies when it is continued (W44)", async () => {
    using host = await startHostToKill({ pool: fakePoolSettings(folder) });
    const [pid = 0] = host.pids;
    process.kill(pid, "SIGSTOP");
    await until("the worker is stopped", () => processState(pid).startsWith("T"));
    await host.kill();
    expect(isRunning(pid)).toBe(true);
    process.kill(pid, "SIGCONT");
    await until("the worker is gone", () => !isRunning(pid), 1_000);
  });
});
