import { describe, expect, test } from "vitest";

import { fakeVector } from "../doubles/fake-answer.ts";
import { type FakePool, fakeBatch, pidOf, startFakePool, startFakeWorker } from "../doubles/fake-pool.ts";
import { eventsOf } from "../doubles/pool-recorder.ts";
import { createVirtualClock, type VirtualClock } from "../doubles/virtual-clock.ts";
import { until } from "../doubles/wait.ts";

const MEMORY_BYTES_MAX = 1e9;
const tooMuch = fakeBatch(`fault:resident:${2 * MEMORY_BYTES_MAX}`);

/** Two workers, a minute old. */
async function startOldPool(): Promise<{ readonly fake: FakePool; readonly clock: VirtualClock }> {
  const clock = createVirtualClock();
  const options = { clock, workers: 2, permits: 4, memoryBytesMax: MEMORY_BYTES_MAX };
  const fake = await startFakePool({}, options);
  await fake.recorder.untilLive(2);
  clock.advance(60_000);
  return { fake, clock };
}

const recyclings = (fake: FakePool) => eventsOf(fake.events, "worker_recycling");

describe("a worker that holds too much memory (W39)", () => {
  test("is replaced once its successor is ready, and loses no batch", async () => {
    const { fake } = await startOldPool();
    await using _ = fake;
    const pid = pidOf(fake.pool, "worker-1.1");
    const held = fake.pool.run("worker-1.1", fakeBatch("fault:until_signal"));
    await fake.pool.run("worker-1.1", tooMuch);
    expect(recyclings(fake)).toMatchObject([{ workerId: "worker-1.1", message: "holds 1907 MiB, more than 954" }]);
    await until("the successor is ready", () => fake.recorder.ready.some(({ id }) => id === "worker-1.2"));
    expect(fake.recorder.lost).toEqual([]);
    expect(fake.recorder.permits).toEqual([{ workerId: "worker-1.1", permits: 0 }]);
    process.kill(pid, "SIGUSR2");
    expect((await held).vectors.data).toEqual(fakeVector("fault:until_signal"));
    await until("the old one is lost", () => fake.recorder.lost.length === 1);
    expect(fake.recorder.lost).toMatchObject([{ workerId: "worker-1.1" }]);
    expect(fake.recorder.live().map(({ id, permits }) => [id, permits])).toEqual([
      ["worker-2.1", 2],
      ["worker-1.2", 2],
    ]);
    await until("its end is told", () => eventsOf(fake.events, "worker_lost").length === 1);
    expect(eventsOf(fake.events, "worker_lost")).toMatchObject([{ reason: "recycled", restartInMs: undefined }]);
    expect(fake.pool.status().workers.map(({ id, state }) => [id, state])).toEqual([
      ["worker-1.2", "ready"],
      ["worker-2.1", "ready"],
    ]);
  });

  test("waits while another is being replaced", async () => {
    const { fake } = await startOldPool();
    await using _ = fake;
    await Promise.all([fake.pool.run("worker-1.1", tooMuch), fake.pool.run("worker-2.1", tooMuch)]);
    expect(recyclings(fake)).toHaveLength(1);
    await until("the first is replaced", () => fake.recorder.lost.length === 1);
    await until("its process is gone", () => eventsOf(fake.events, "worker_lost").length === 1);
    const left = ["worker-1.1", "worker-2.1"].find((id) => fake.recorder.lost[0]?.workerId !== id);
    await fake.pool.run(left ?? "", tooMuch);
    expect(recyclings(fake)).toHaveLength(2);
    await until("the second is replaced", () => fake.recorder.lost.length === 2);
  });

  test("is kept while it is young, since its successor would need as much", async () => {
    await using fake = await startFakeWorker({}, { memoryBytesMax: MEMORY_BYTES_MAX });
    await fake.pool.run(fake.worker.id, tooMuch);
    expect(recyclings(fake)).toEqual([]);
  });

  test("and dies before its successor is ready comes back under a number of its own", async () => {
    const { fake, clock } = await startOldPool();
    await using _ = fake;
    const pid = pidOf(fake.pool, "worker-1.1");
    await fake.pool.run("worker-1.1", tooMuch);
    process.kill(pid, "SIGKILL");
    await until("it is lost", () => fake.recorder.lost.length > 0);
    clock.advance(1_000);
    const live = await fake.recorder.untilLive(2);
    expect(new Set(fake.recorder.ready.map(({ id }) => id)).size).toBe(fake.recorder.ready.length);
    expect(live.map(({ id }) => id)).toContain("worker-2.1");
  });

  test("leaves no process behind when the pool stops in the middle", async () => {
    const { fake } = await startOldPool();
    await using _ = fake;
    await fake.pool.run("worker-1.1", tooMuch);
    await fake.pool.stop(0);
  });
});

test("a worker that fails three batches in a row is replaced (W40)", async () => {
  const { fake } = await startOldPool();
  await using _ = fake;
  for (let at = 0; at < 3; at++) {
    await expect(fake.pool.run("worker-2.1", fakeBatch("fault:error"))).rejects.toMatchObject({ kind: "batch_failed" });
  }
  expect(recyclings(fake)).toMatchObject([{ workerId: "worker-2.1", message: "failed 3 batches in a row" }]);
  await until("it is replaced", () => fake.recorder.lost.length === 1);
});

test("an idle worker that is stopped gets no batches until it goes on (W05)", { timeout: 20_000 }, async () => {
  await using fake = await startFakeWorker();
  const { id } = fake.worker;
  process.kill(fake.pid, "SIGSTOP");
  await until("it is found", () => fake.recorder.permits.length === 1, 10_000);
  process.kill(fake.pid, "SIGCONT");
  await until("it is back", () => fake.recorder.permits.length === 2, 10_000);
  expect(fake.recorder.permits).toEqual([
    { workerId: id, permits: 0 },
    { workerId: id, permits: 2 },
  ]);
  expect(fake.recorder.lost).toEqual([]);
});

test("an idle worker that stays stopped is given up and replaced (W05)", { timeout: 30_000 }, async () => {
  await using fake = await startFakeWorker();
  process.kill(fake.pid, "SIGSTOP");
  await until("it is lost", () => fake.recorder.lost.length === 1, 20_000);
  expect(fake.recorder.lost[0]?.cause).toContain("answered nothing for 10 s while it was idle");
  await fake.recorder.untilLive(1);
});
