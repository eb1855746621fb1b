import { expect, test } from "vitest";
import { fakeVector } from "../doubles/fake-answer.ts";
import { fakeBatch, startFakePool } from "../doubles/fake-pool.ts";

test("a worker is told of prompt and dimensions, and its shorter rows are what was asked for", async () => {
  await using served = await startFakePool();
  await served.started;
  const [worker] = await served.recorder.untilLive(1);
  const run = async (options: object): Promise<Float32Array> => {
    const { vectors } = await served.pool.run(worker?.id ?? "", { ...fakeBatch("text"), ...options });
    expect(vectors.dimensions).toBe(vectors.data.length);
    return vectors.data;
  };
  expect(await run({ promptName: "query" })).toEqual(fakeVector("query: text"));
  expect(await run({ prompt: "Q " })).toEqual(fakeVector("Q text"));
  expect(await run({ dimensions: 3 })).toEqual(fakeVector("text", { dimensions: 3 }));
});

test("a worker that cuts to other dimensions than asked has broken the protocol (W28)", async () => {
  await using served = await startFakePool();
  await served.started;
  const [worker] = await served.recorder.untilLive(1);
  const batch = { ...fakeBatch("fault:wrong_dimensions"), dimensions: 3 };
  await expect(served.pool.run(worker?.id ?? "", batch)).rejects.toMatchObject({ kind: "worker_lost" });
});
