import { describe, expect, test } from "vitest";

import { fakeVector } from "../doubles/fake-answer.ts";
import { fakeBatch, pidOf, startFakePool, startFakeWorker } from "../doubles/fake-pool.ts";
import { eventsOf, isRunning, processState } from "../doubles/pool-recorder.ts";
import { createVirtualClock } from "../doubles/virtual-clock.ts";
import { until } from "../doubles/wait.ts";

describe("a worker that dies", () => {
  test("fails its batch as `worker_lost` and is replaced (W01)", async () => {
    await using fake = await startFakeWorker();
    const running = fake.pool.run(fake.worker.id, fakeBatch("fault:stall"));
    process.kill(fake.pid, "SIGKILL");
    await expect(running).rejects.toMatchObject({ name: "BatchError", kind: "worker_lost" });
    expect(fake.recorder.lost).toEqual([
      { workerId: fake.worker.id, cause: expect.stringContaining("the system may be out of memory") },
    ]);
    const [replacement] = await fake.recorder.untilLive(1);
    expect(replacement).toMatchObject({ id: "worker-1.2", permits: 2 });
    const { vectors } = await fake.pool.run("worker-1.2", fakeBatch("again"));
    expect(vectors.data).toEqual(fakeVector("again"));
  });

  test("while idle is missed at once and started again after 0.1 s (W02)", async () => {
    await using fake = await startFakeWorker();
    process.kill(fake.pid, "SIGKILL");
    await until("the loss is told", () => fake.recorder.lost.length === 1);
    await fake.recorder.untilLive(1);
    expect(eventsOf(fake.events, "worker_lost")).toMatchObject([{ reason: "exited", restartInMs: 100 }]);
    expect(fake.pool.status().workers).toMatchObject([{ state: "ready", restarts: 1, problem: undefined }]);
  });

  test("together with all others leaves a pool that comes back whole (W03)", async () => {
    await using fake = await startFakePool({}, { workers: 3, permits: 4 });
    const before = await fake.recorder.untilLive(3);
    for (const { id } of before) process.kill(pidOf(fake.pool, id), "SIGKILL");
    await until("all are lost", () => fake.recorder.lost.length === 3);
    const after = await fake.recorder.untilLive(3);
    expect(fake.recorder.lost.map(({ workerId }) => workerId).toSorted()).toEqual(
      before.map(({ id }) => id).toSorted(),
    );
    expect(after.map(({ id }) => id).toSorted()).toEqual(["worker-1.2", "worker-2.2", "worker-3.2"]);
    expect(after.reduce((sum, { permits }) => sum + permits, 0)).toBe(4);
  });

  test("by its own exit(0) has crashed, not succeeded (W10)", async () => {
    await using fake = await startFakeWorker();
    await expect(fake.pool.run(fake.worker.id, fakeBatch("fault:exit:0"))).rejects.toMatchObject({
      kind: "worker_lost",
      message: expect.stringContaining("exit code 0"),
    });
  });

  test("just before a batch is written rejects that batch and harms nobody (W46)", async () => {
    await using fake = await startFakeWorker({}, { permits: 64 });
    process.kill(fake.pid, "SIGKILL");
    const large = "x".repeat(1 << 20);
    const runs = Array.from({ length: 8 }, () => fake.pool.run(fake.worker.id, fakeBatch(large)));
    for (const run of await Promise.allSettled(runs)) {
      expect(run).toMatchObject({ status: "rejected", reason: { kind: "worker_lost" } });
    }
  });

  test("over and over waits twice as long each time (W15)", async () => {
    await using fake = await startFakePool({ start: "exit_1", badStarts: 4 });
    await fake.started;
    expect(eventsOf(fake.events, "worker_lost").map(({ restartInMs }) => restartInMs)).toEqual([100, 200, 400, 800]);
  });
});

test("a minute of health makes the next loss the first again (W15)", async () => {
  const clock = createVirtualClock();
  await using fake = await startFakePool({ start: "exit_1", badStarts: 2 }, { clock });
  const losses = () => eventsOf(fake.events, "worker_lost");
  const die = async (): Promise<void> => {
    const [{ id } = { id: "" }] = await fake.recorder.untilLive(1);
    const before = losses().length;
    process.kill(pidOf(fake.pool, id), "SIGKILL");
    await until("the worker is gone", () => losses().length > before);
    clock.advance(losses().at(-1)?.restartInMs ?? 0);
  };
  for (const loss of [1, 2]) {
    await until("the start has failed", () => losses().length === loss);
    clock.advance(losses().at(-1)?.restartInMs ?? 0);
  }
  await die();
  await fake.recorder.untilLive(1);
  clock.advance(60_000);
  await die();
  expect(losses().map(({ restartInMs }) => restartInMs)).toEqual([100, 200, 400, 100]);
});

describe("a worker that is stopped by SIGSTOP", () => {
  test("is killed when it is given up, and its batch fails (W04)", async () => {
    await using fake = await startFakeWorker();
    process.kill(fake.pid, "SIGSTOP");
    const running = fake.pool.run(fake.worker.id, fakeBatch("never read"));
    fake.pool.discard(fake.worker.id);
    await expect(running).rejects.toMatchObject({ kind: "worker_lost" });
    await until("the stopped process is dead", () => !isRunning(fake.pid));
    await fake.recorder.untilLive(1);
  });

  test("still answers an open batch when it is continued (W06)", async () => {
    await using fake = await startFakeWorker();
    process.kill(fake.pid, "SIGSTOP");
    const running = fake.pool.run(fake.worker.id, fakeBatch("late"));
    await until("the process is stopped", () => processState(fake.pid).startsWith("T"));
    process.kill(fake.pid, "SIGCONT");
    expect((await running).vectors.data).toEqual(fakeVector("late"));
    expect(fake.recorder.lost).toEqual([]);
  });
});
