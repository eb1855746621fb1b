import { expect, test } from "vitest";
import { fakeVector } from "../doubles/fake-answer.ts";
import { fakeBatch, pidOf, startFakePool } from "../doubles/fake-pool.ts";
import { until } from "../doubles/wait.ts";

test("a spare takes the place of a worker that is killed, and the next one to start is the spare (W01)", async () => {
  await using fake = await startFakePool({}, { workers: 1, spares: 1, permits: 2 });
  await until("both are ready", () => fake.pool.status().workers.every(({ state }) => state === "ready"));
  for (const round of [1, 2, 3]) {
    const [worker] = fake.recorder.live();
    const running = fake.pool.run(worker?.id ?? "", fakeBatch("fault:stall"));
    const { length } = fake.recorder.ready;
    process.kill(pidOf(fake.pool, worker?.id ?? ""), "SIGKILL");
    await expect(running).rejects.toMatchObject({ kind: "worker_lost" });
    // In the step in which the loss was told, not after a start.
    expect(fake.recorder.ready).toHaveLength(length + 1);
    const spare = fake.recorder.ready.at(-1);
    expect(spare).toMatchObject({ permits: 2 });
    expect((await fake.pool.run(spare?.id ?? "", fakeBatch("again"))).vectors.data).toEqual(fakeVector("again"));
    expect(fake.recorder.lost).toHaveLength(round);
    await until("there is a spare again", () => fake.pool.status().workers.every(({ state }) => state === "ready"));
  }
  expect(fake.recorder.live()).toHaveLength(1);
});
