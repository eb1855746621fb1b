import { beforeEach, describe, expect, test } from "vitest";
import {
  createModelPool,
  type ModelEvent,
  type ModelPool,
  type ModelPoolHooks,
} from "../../runtime/pool/model-pool.ts";
import { FAKE_MODEL } from "../doubles/fake-answer.ts";
import { createScriptedPool, type ScriptedPool } from "../doubles/scripted-pool.ts";

const request = { model: FAKE_MODEL, pooling: "default", normalize: true, texts: ["a"] } as const;

interface Made extends ModelPoolHooks {
  readonly model: string;
  readonly pool: ScriptedPool;
}

describe("a pool of several models", () => {
  let made: Made[];
  let told: string[];
  let events: ModelEvent["type"][];
  let pool: ModelPool;
  const startPool = (): Promise<void> =>
    pool.start({
      workerReady: ({ id, model: { model } }) => void told.push(`ready ${id} with ${model}`),
      workerLost: (workerId) => void told.push(`lost ${workerId}`),
      modelUnloaded: (model) => void told.push(`unloaded ${model}`),
      modelFailed: (model, problem) => void told.push(`failed ${model}: ${problem}`),
    });

  beforeEach(() => {
    [made, told, events] = [[], [], []];
    pool = createModelPool({
      first: "first",
      createPool(model, hooks) {
        const workerPermits = model === "slow" ? [] : [2];
        const scripted = createScriptedPool({ workerPermits, restarts: "by_hand", answers: "by_hand" });
        // Like a local pool, whose numbers tell its workers from all others.
        const id = (workerId: string): string => workerId.replace("scripted", `${hooks.firstWorkerNumber}`);
        made.push({ model, pool: scripted, ...hooks });
        return {
          ...scripted,
          start: (listener) =>
            scripted.start({
              workerReady: (worker) => listener.workerReady({ ...worker, id: id(worker.id) }),
              workerLost: (workerId, cause) => listener.workerLost(id(workerId), cause),
            }),
          run: (workerId, asked) => scripted.run(workerId.replace(/^\d+/, "scripted"), asked),
          discard: (workerId) => scripted.discard(workerId.replace(/^\d+/, "scripted")),
        };
      },
      log: ({ type }) => void events.push(type),
    });
  });

  test("starts with its first model alone", async () => {
    expect(pool.status().workersWanted).toBe(1);
    await startPool();
    expect(told).toEqual(["ready 1-1 with first"]);
  });

  test("loads another one beside it, whose workers have other numbers, and sends each batch to its worker", async () => {
    await startPool();
    pool.load("second");
    expect(told).toEqual(["ready 1-1 with first", "ready 2-1 with second"]);
    void pool.run("2-1", request).catch(() => {});
    expect(made.map(({ pool: { running } }) => running.length)).toEqual([0, 1]);
    expect([...pool.status().models.keys()]).toEqual(["first", "second"]);
    expect(events).toEqual(["model_loaded", "model_loading", "model_loaded"]);
  });

  test("a model that is unloaded is told once its workers have ended, and none of them as lost", async () => {
    await startPool();
    pool.load("second");
    pool.unload("second");
    await expect.poll(() => told.at(-1)).toBe("unloaded second");
    expect(told.filter((line) => line.startsWith("lost"))).toEqual([]);
    expect([...pool.status().models.keys()]).toEqual(["first"]);
    await expect(pool.run("2-1", request)).rejects.toMatchObject({ kind: "worker_lost" });
  });

  test("a model that comes back has new workers", async () => {
    await startPool();
    pool.load("second");
    pool.unload("second");
    await expect.poll(() => told.at(-1)).toBe("unloaded second");
    pool.load("second");
    expect(told.at(-1)).toBe("ready 3-1 with second");
  });

  test.each([
    { reason: "start_failed", times: 1 },
    { reason: "start_timeout", times: 1 },
    { reason: "exited", times: 3 },
  ] as const)("W13 a model whose worker cannot start ($reason) is given up after $times", async ({ reason, times }) => {
    await startPool();
    pool.load("slow");
    for (let time = 1; time <= times; time++) {
      expect(told).toHaveLength(1);
      made[1]?.onStartFailure({ reason, message: "cannot start: bad_model: no weights" });
    }
    await expect.poll(() => told).toHaveLength(2);
    expect(told[1]).toBe("failed slow: slow cannot be loaded: the worker cannot start: bad_model: no weights.");
    expect(events.at(-1)).toBe("model_failed");
  });

  test("the first model is tried for ever at the start", async () => {
    const started = startPool();
    for (let time = 1; time <= 10; time++) made[0]?.onStartFailure({ reason: "start_failed", message: "cannot" });
    await started;
    expect(told).toEqual(["ready 1-1 with first"]);
  });

  test("stopped, it loads nothing more and every worker ends", async () => {
    await startPool();
    pool.load("second");
    await pool.stop(0);
    pool.load("third");
    expect(made.map(({ model }) => model)).toEqual(["first", "second"]);
    expect(pool.status().workers).toEqual([]);
  });
});
