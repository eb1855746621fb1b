import { describe, expect, test } from "vitest";

import { fakeBatch, startFakeWorker, type FakeWorker } from "../doubles/fake-pool.ts";
import { eventsOf, isRunning } from "../doubles/pool-recorder.ts";
import { until, withTimeout } from "../doubles/wait.ts";

describe("a process that a worker started, and that holds its stdout and fd 3,", () => {
  test("is killed with it when the pool stops (W41)", async () => {
    await using fake = await startFakeWorker();
    const grandchild = await startGrandchild(fake);
    await withTimeout(fake.pool.stop(0), "the pool to stop");
    await until("the grandchild is dead", () => !isRunning(grandchild));
  });

  test("neither hides the death of the worker nor outlives it (W42)", async () => {
    await using fake = await startFakeWorker();
    const grandchild = await startGrandchild(fake);
    const running = fake.pool.run(fake.worker.id, fakeBatch("fault:stall"));
    process.kill(fake.pid, "SIGKILL");
    await expect(running).rejects.toMatchObject({ kind: "worker_lost" });
    await until("the grandchild is dead", () => !isRunning(grandchild));
    await fake.recorder.untilLive(1);
  });
});

describe("a worker that ignores SIGTERM and the end of fd 3", () => {
  test("is gone when the pool has stopped (W45)", async () => {
    await using fake = await startFakeWorker({ isStubborn: true });
    process.kill(fake.pid, "SIGTERM");
    await withTimeout(fake.pool.stop(60_000), "the pool to stop");
    expect(isRunning(fake.pid)).toBe(false);
  });

  test("has its batch cut off when the grace is over (W45)", async () => {
    await using fake = await startFakeWorker({ isStubborn: true });
    const running = fake.pool.run(fake.worker.id, fakeBatch("fault:stall"));
    const stopping = fake.pool.stop(50);
    await expect(running).rejects.toMatchObject({ kind: "worker_lost" });
    await withTimeout(stopping, "the pool to stop");
    expect(isRunning(fake.pid)).toBe(false);
  });
});

async function startGrandchild(fake: FakeWorker): Promise<number> {
  await fake.pool.run(fake.worker.id, fakeBatch("fault:grandchild"));
  const [line] = await until("its pid is printed", () => {
    const lines = eventsOf(fake.events, "worker_output");
    return lines.length > 0 && lines;
  });
  const pid = Number(line?.line.split(" ")[1]);
  expect(isRunning(pid)).toBe(true);
  return pid;
}
