import { afterEach, describe, expect, test } from "vitest";
import { createDispatcher, type Dispatcher, type DispatchCall } from "../../runtime/embedder/dispatcher.ts";
import { cutFromHead } from "../../runtime/scheduler/batch-policy.ts";
import { createScheduler } from "../../runtime/scheduler/scheduler.ts";
import { FAKE_MODEL, fakeModelInfo } from "../doubles/fake-answer.ts";
import { submitTo } from "../doubles/submit-to.ts";
import { createScriptedPool, type ScriptedPool } from "../doubles/scripted-pool.ts";
import { createVirtualClock, type VirtualClock } from "../doubles/virtual-clock.ts";

/** Room for both; the scripted pool holds the first. */
const models = {
  memoryBytesMax: 2,
  bytes: new Map([
    [FAKE_MODEL, 1],
    ["second", 1],
  ]),
  first: FAKE_MODEL,
  workers: 1,
};
const limits = {
  inputsMax: 4,
  paddedTokensMax: 1_000,
  queueInputsMax: 8,
  queueTokensMax: 10_000,
  batchTimeoutMs: 5_000,
  attemptsMax: 8,
  models,
};

interface World {
  readonly dispatcher: Dispatcher;
  readonly pool: ScriptedPool;
  readonly clock: VirtualClock;
  /** What the pool was told to do with models. */
  readonly moves: string[];
}

let world: World;
afterEach(() => world.pool.stop(0));

describe("a dispatcher over several models", () => {
  test("Q08 a call for a model that is not loaded has it loaded; a deadline that passes meanwhile says so", async () => {
    world = await createWorld();
    const call = submit(["a"], { model: "second", deadlineAtMs: world.clock.nowMs() + 50 });
    expect(world.moves).toEqual(["load second"]);
    world.clock.advance(50);
    await expect(call).rejects.toMatchObject({ code: "deadline_exceeded", param: "loading" });
  });

  test("W13 a call for a model that cannot be loaded is told why", async () => {
    world = await createWorld();
    const call = submit(["a"], { model: "second" });
    world.dispatcher.modelFailed("second", "second cannot be loaded: no weights.");
    const message = "second cannot be loaded: no weights.";
    await expect(call).rejects.toMatchObject({ code: "model_unavailable", message, retryAfterMs: 30_000 });
  });

  test("the result names the revision of the worker's model", async () => {
    world = await createWorld();
    const call = submit(["a"]);
    world.pool.finishAll();
    expect((await call).revision).toBe(fakeModelInfo().revision);
  });

  test("D20 vectors of two revisions are never mixed in one call", async () => {
    world = await createWorld();
    const call = submit(["1", "2", "3", "4", "5", "6"]);
    const [run] = world.pool.running;
    world.pool.finishAll();
    await expect.poll(() => world.pool.started.length).toBe(2);
    world.pool.lose(run?.workerId ?? "");
    const id = world.pool.addWorker(1);
    world.dispatcher.workerReady({ id, permits: 1, model: fakeModelInfo({ revision: "another" }) });
    await expect.poll(() => world.pool.started.length).toBe(3);
    world.pool.finishAll();
    await expect(call).rejects.toMatchObject({ code: "model_changed", retryAfterMs: 1_000 });
    expect(world.dispatcher.snapshot()).toMatchObject({ liveInputs: 0, flights: 0 });
  });
});

async function createWorld(): Promise<World> {
  const clock = createVirtualClock();
  const pool = createScriptedPool({ workerPermits: [1], answers: "by_hand", restarts: "by_hand", clock });
  const moves: string[] = [];
  const dispatcher = createDispatcher({
    scheduler: createScheduler(limits, cutFromHead, () => 0.5),
    pool: {
      ...pool,
      load: (model) => void moves.push(`load ${model}`),
      unload: (model) => void moves.push(`unload ${model}`),
    },
    clock,
    defer: (run) => run(),
    observer: { permitWaited() {}, batchEnded() {} },
  });
  await pool.start(dispatcher);
  return { dispatcher, pool, clock, moves };
}

function submit(texts: readonly string[], changes?: Partial<DispatchCall>): ReturnType<Dispatcher["submit"]> {
  return submitTo(world, texts, changes);
}
