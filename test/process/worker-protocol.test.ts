import { describe, expect, test } from "vitest";

import { fakeVector } from "../doubles/fake-answer.ts";
import { fakeBatch, startFakePool, startFakeWorker } from "../doubles/fake-pool.ts";
import { eventsOf, isRunning } from "../doubles/pool-recorder.ts";
import { until } from "../doubles/wait.ts";

describe("a worker is given up at once when it", () => {
  test.for([
    { what: "is ready a second time (W12)", text: "fault:ready_again", cause: "said twice that it is ready" },
    { what: "writes garbage to fd 3 (W16)", text: "fault:garbage", cause: "a frame claims" },
    { what: "prints to fd 3 (W17)", text: "fault:text", cause: 'it starts with "Download"' },
    {
      what: "closes fd 3 in the middle of a frame and lives on (W19)",
      text: "fault:half_frame_eof",
      cause: "closed fd 3",
    },
    {
      what: "claims a frame larger than any answer can be (W22)",
      text: "fault:oversized",
      cause: "4294967295 body bytes",
    },
    { what: "sends a head that is not JSON (W23)", text: "fault:not_json", cause: "is not JSON" },
    {
      what: "answers no batch of ours three times (W25)",
      text: "fault:unknown_id:3",
      cause: "3 replies to no open batch",
    },
    { what: "answers under the number of another batch (W27)", text: "fault:wrong_nonce", cause: "number of another" },
    { what: "answers fewer rows than texts (W28)", text: "fault:wrong_rows", cause: "rows 1, want 2" },
    { what: "sends a body of the wrong size (W28)", text: "fault:short_body", cause: "body bytes 4, want 64" },
    { what: "answers another dimension (W32)", text: "fault:wrong_dimensions", cause: "dimensions 7, want 8" },
    { what: "runs another pooling than asked", text: "fault:wrong_pooling", cause: "pooling last_token, want cls" },
  ])("$what", async ({ text, cause }) => {
    await using fake = await startFakeWorker();
    const batch = { ...fakeBatch(text, "neighbour"), pooling: "cls" as const };
    const runs = await Promise.allSettled([
      fake.pool.run(fake.worker.id, { ...batch, texts: ["fault:stall"] }),
      fake.pool.run(fake.worker.id, batch),
    ]);
    const lost = { status: "rejected", reason: { kind: "worker_lost", message: expect.stringContaining(cause) } };
    expect(runs).toMatchObject([lost, lost]);
    expect(fake.recorder.lost).toMatchObject([{ workerId: fake.worker.id, cause: expect.stringContaining(cause) }]);
    await until("its process is dead", () => !isRunning(fake.pid));
  });
});

describe("a worker that", () => {
  test("goes silent in the middle of a frame keeps its batch until it is given up (W18)", async () => {
    await using fake = await startFakeWorker();
    const running = fake.pool.run(fake.worker.id, fakeBatch("fault:half_frame"));
    fake.pool.discard(fake.worker.id);
    await expect(running).rejects.toMatchObject({ kind: "worker_lost" });
  });

  test("sends its answer byte by byte is understood (W20)", async () => {
    await using fake = await startFakeWorker();
    const { vectors } = await fake.pool.run(fake.worker.id, fakeBatch("fault:dribble"));
    expect(vectors.data).toEqual(fakeVector("fault:dribble"));
  });

  test("answers a batch that never was is understood and counted (W25)", async () => {
    await using fake = await startFakeWorker();
    const { vectors } = await fake.pool.run(fake.worker.id, fakeBatch("fault:unknown_id"));
    expect(vectors.data).toEqual(fakeVector("fault:unknown_id"));
    expect(eventsOf(fake.events, "reply_dropped")).toMatchObject([{ reason: "unknown_id" }]);
  });

  test("answers twice is heard once (W26)", async () => {
    await using fake = await startFakeWorker();
    const { vectors } = await fake.pool.run(fake.worker.id, fakeBatch("fault:duplicate"));
    expect(vectors.data).toEqual(fakeVector("fault:duplicate"));
    await fake.pool.run(fake.worker.id, fakeBatch("the next"));
    expect(eventsOf(fake.events, "reply_dropped")).toMatchObject([{ reason: "duplicate" }]);
    expect(fake.recorder.lost).toEqual([]);
  });

  test.for([
    { what: "NaN (W29)", text: "fault:nan_row_unmarked" },
    { what: "nothing but zeros (W30)", text: "fault:zero_row" },
    { what: "a length that is not 1 (W30)", text: "fault:wrong_norm" },
  ])("answers a row of $what has that row failed and the others good", async ({ text }) => {
    await using fake = await startFakeWorker();
    const { vectors, failedRows } = await fake.pool.run(fake.worker.id, fakeBatch(text, "neighbour"));
    expect(failedRows).toEqual([0]);
    expect(vectors.data.slice(0, 8)).toEqual(new Float32Array(8));
    expect(vectors.data.slice(8)).toEqual(fakeVector("neighbour"));
  });

  test("does not read costs the memory of one batch, whatever waits for it (W47)", async () => {
    await using fake = await startFakeWorker({}, { permits: 8 });
    await fake.pool.run(fake.worker.id, fakeBatch("fault:deaf"));
    const large = "x".repeat(16 << 20);
    const before = process.memoryUsage().external;
    const runs = Promise.allSettled(Array.from({ length: 5 }, () => fake.pool.run(fake.worker.id, fakeBatch(large))));
    // A batch is held twice while it is written: as JSON and as a frame.
    expect(process.memoryUsage().external - before).toBeLessThan(40 << 20);
    fake.pool.discard(fake.worker.id);
    for (const run of await runs) expect(run).toMatchObject({ reason: { kind: "worker_lost" } });
  });

  test("is sent a batch above the limit never sees it, and lives", async () => {
    await using fake = await startFakeWorker({}, { frameBytesMax: 1_000 });
    await expect(fake.pool.run(fake.worker.id, fakeBatch("x".repeat(1_000)))).rejects.toMatchObject({
      kind: "batch_failed",
      message: "a batch of 1004 bytes, at most 1000",
    });
    expect((await fake.pool.run(fake.worker.id, fakeBatch("short"))).vectors.rows).toBe(1);
  });
});

test("a worker that says twice at its start that it is ready counts once and is lost once (W12)", async () => {
  await using fake = await startFakePool({ start: "ready_twice", badStarts: 1 });
  await until("its successor is ready", () => fake.recorder.ready.length === 2);
  expect(fake.recorder.ready.map(({ id }) => id)).toEqual(["worker-1.1", "worker-1.2"]);
  expect(fake.recorder.lost.map(({ workerId }) => workerId)).toEqual(["worker-1.1"]);
});
