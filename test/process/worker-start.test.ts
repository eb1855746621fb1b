import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";

import { fakeBatch, pidOf, startFakePool, startFakeWorker, type FakePool } from "../doubles/fake-pool.ts";
import { commandLineOf, eventsOf, isRunning } from "../doubles/pool-recorder.ts";
import { createVirtualClock } from "../doubles/virtual-clock.ts";
import { until, withTimeout } from "../doubles/wait.ts";

describe("a worker that cannot start", () => {
  test.for([
    { start: "exit_0", problem: "The worker ended with exit code 0 without being asked to." },
    { start: "exit_1", problem: "The worker ended with exit code 1 without being asked to." },
    { start: "segfault", problem: "The worker was ended by SIGSEGV." },
    { start: "start_failed", problem: "The worker cannot start: bad_model: there is no config.json." },
  ] as const)("says why, with its last 20 lines, and is tried again: $start (W09)", async ({ start, problem }) => {
    const stderr = Array.from({ length: 30 }, (_, at) => `line ${at}`);
    await using fake = await startFakePool({ start, stderr, badStarts: 2 });
    const shown = await untilWaiting(fake);
    expect(shown.problem).toBe([problem, ...stderr.slice(-20)].join("\n"));
    expect(shown).toMatchObject({ pid: undefined, restartInMs: expect.any(Number) });
    await fake.started;
    expect(fake.pool.status().workers).toMatchObject([{ state: "ready", restarts: 2, problem: undefined }]);
    expect(fake.recorder.lost).toEqual([]);
  });

  test.for(["exit_1", "segfault"] as const)(
    "three times alike cannot start; one more try may show otherwise: %s (W09)",
    async (start) => {
      await using fake = await startFakePool({ start, badStarts: 3 });
      const [status] = fake.pool.status().workers;
      expect(status?.cannotStart).toBe(false);
      await until("it has failed thrice", () => fake.pool.status().workers[0]?.cannotStart);
      expect(eventsOf(fake.events, "worker_lost").length).toBeGreaterThanOrEqual(2);
      await fake.started;
      expect(fake.pool.status().workers).toMatchObject([{ state: "ready", cannotStart: false }]);
    },
  );

  test("because of its model cannot start from the first time on, and says so once (W09)", async () => {
    const why = "bad_model: there is no config.json";
    await using fake = await startFakePool({ start: "start_failed", stderr: [why] });
    expect(await untilWaiting(fake)).toMatchObject({ cannotStart: true, problem: `The worker cannot start: ${why}.` });
  });

  test("because MLX was built for another processor says so (C07)", async () => {
    await using fake = await startFakePool({ start: "illegal_instruction" });
    expect((await untilWaiting(fake)).problem).toContain("MLX or the BLAS in use was built for another processor");
  });

  test("because it writes garbage first is given up (W16)", async () => {
    await using fake = await startFakePool({ start: "garbage" });
    expect((await untilWaiting(fake)).problem).toContain("2880154539 head and 2880154539 body bytes");
  });

  test("because it is never ready is killed at the limit (W11)", async () => {
    await using fake = await startFakePool({ start: "never_ready" }, { startTimeoutMs: 300 });
    expect(fake.pool.status().workers).toMatchObject([
      { state: "starting", problem: "The worker is loading its model." },
    ]);
    expect((await untilWaiting(fake)).problem).toMatch(/^The worker had no first vector after 0.3 s\./);
    expect((await fake.pids()).filter(isRunning)).toEqual([]);
  });

  test.for([
    { what: "another protocol", script: { protocol: 2 }, problem: "speaks protocol 2, want 1" },
    { what: "another model", script: { model: { model: "b" } }, problem: 'holds the model "b", want "fake-model"' },
  ])("because it has $what is tried again after 30 s only (W13)", async ({ script, problem }) => {
    await using fake = await startFakePool(script);
    expect((await untilWaiting(fake)).problem).toContain(problem);
    expect(eventsOf(fake.events, "worker_lost")).toMatchObject([{ reason: "wrong_worker", restartInMs: 30_000 }]);
    expect(fake.recorder.ready).toEqual([]);
  });

  test("because its vectors have another dimension than the others' does not join them (W13)", async () => {
    await using fake = await startFakePool({ model: { dimensions: 9 }, badStarts: 1 }, { workers: 2 });
    const [loss] = await until("one is refused", () => {
      const losses = eventsOf(fake.events, "worker_lost");
      return losses.length > 0 && losses;
    });
    expect(loss?.message).toMatch(/^differs from the other workers in dimensions: [89], not [89]$/);
    expect(fake.recorder.ready).toHaveLength(1);
  });

  test("because there is no interpreter says what mends it (W48)", async () => {
    await using fake = await startFakePool({}, { command: ["/nowhere/bin/python"] });
    expect((await untilWaiting(fake)).problem).toBe(
      "The worker could not be started from /nowhere/bin/python (ENOENT): there is no such file; a start of embedge sets it up again.",
    );
    await until("it is tried again", () => eventsOf(fake.events, "worker_lost").length === 3);
  });

  test("because the interpreter may not be executed says so (W48)", async () => {
    const file = join(import.meta.dirname, "../doubles/fake-python-worker.ts");
    expect((await stat(file)).mode & 0o111).toBe(0);
    await using fake = await startFakePool({}, { command: [file] });
    expect((await untilWaiting(fake)).problem).toContain("(EACCES): it may not be executed");
  });
});

describe("a worker that has started", () => {
  test("is not killed when the start limit passes (W11)", async () => {
    const clock = createVirtualClock();
    await using fake = await startFakeWorker({}, { clock, startTimeoutMs: 1_000 });
    clock.advance(2_000);
    expect((await fake.pool.run(fake.worker.id, fakeBatch("alive"))).vectors.rows).toBe(1);
    expect(fake.recorder.lost).toEqual([]);
  });

  test("always has a permit: there are no more workers than permits", async () => {
    await using fake = await startFakePool({}, { workers: 3, permits: 2 });
    const workers = await fake.recorder.untilLive(2);
    expect(workers.map(({ permits }) => permits)).toEqual([1, 1]);
    expect(fake.pool.status().workersWanted).toBe(2);
  });
});

describe("a pool that is stopped while its workers start", () => {
  test("ends them at once, however stubborn, and its start rejects (C13)", async () => {
    await using fake = await startFakePool({ start: "never_ready", isStubborn: true }, { workers: 2 });
    const pids = await until("both run", async () => (await fake.pids()).length === 2 && fake.pids());
    await withTimeout(fake.pool.stop(60_000), "the pool to stop");
    expect(pids.filter(isRunning)).toEqual([]);
    await expect(fake.started).rejects.toMatchObject({ code: "draining" });
  });

  test("starts none that was waiting for its next try", async () => {
    await using fake = await startFakePool({ start: "exit_1" });
    await untilWaiting(fake);
    await withTimeout(fake.pool.stop(60_000), "the pool to stop");
    expect(fake.pool.status().workers).toMatchObject([{ state: "stopping", restartInMs: undefined }]);
  });
});

describe("the world of a worker", () => {
  test("holds the names of the allow list and no secret of the host (S14)", async () => {
    process.env["EMBEDGE_TEST_SECRET"] = "canary";
    await using fake = await startFakeWorker();
    delete process.env["EMBEDGE_TEST_SECRET"];
    const environment = await environmentOf(fake, fake.worker.id);
    expect(environment.get("HF_HUB_OFFLINE")).toBe("1");
    expect(environment.get("PATH")).toBe(process.env["PATH"]);
    expect(environment.has("EMBEDGE_TEST_SECRET")).toBe(false);
  });

  test("names its core in its command line where workers are pinned", async () => {
    await using fake = await startFakePool({}, { workers: 2, pinning: true });
    const workers = await fake.recorder.untilLive(2);
    const lines = workers.map(({ id }) => commandLineOf(pidOf(fake.pool, id))).toSorted();
    expect(lines).toEqual([expect.stringMatching(/ --core 0$/), expect.stringMatching(/ --core 1$/)]);
  });

  test.runIf(process.platform === "linux")("is the first to go when memory runs out (W08)", async () => {
    await using fake = await startFakeWorker();
    expect(await readFile(`/proc/${fake.pid}/oom_score_adj`, "utf8")).toBe("500\n");
  });

  test("has a temporary folder of its own that goes with it", async () => {
    await using fake = await startFakeWorker();
    const folder = (await environmentOf(fake, fake.worker.id)).get("TMPDIR") ?? "";
    expect((await stat(folder)).mode & 0o777).toBe(0o700);
    await writeFile(join(folder, "left behind"), "");
    process.kill(pidOf(fake.pool, fake.worker.id), "SIGKILL");
    await until("the worker is gone", () => eventsOf(fake.events, "worker_lost").length === 1);
    await expect(stat(folder)).rejects.toMatchObject({ code: "ENOENT" });
  });
});

async function untilWaiting(fake: FakePool) {
  return until("the worker waits for its next start", () =>
    fake.pool.status().workers.find(({ state }) => state === "waiting_to_restart"),
  );
}

async function environmentOf(fake: FakePool, workerId: string): Promise<ReadonlyMap<string, string>> {
  await fake.pool.run(workerId, fakeBatch("fault:environment"));
  const lines = await until("the last line is logged", () => {
    const output = eventsOf(fake.events, "worker_output").map(({ line }) => line);
    return output.includes("end of environment") && output;
  });
  return new Map(lines.map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]));
}
