import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";

import { AppError } from "../../runtime/errors.ts";
import { BatchError, type BatchRequest, type ReadyWorker, type WorkerPool } from "../../runtime/pool/worker-pool.ts";
import { createPoolRecorder, type PoolRecorder } from "../doubles/pool-recorder.ts";
import { until, withTimeout } from "../doubles/wait.ts";

export interface PoolUnderTest {
  readonly pool: WorkerPool;
  readonly model: string;
  readonly workers: number;
  readonly permits: number;
  /** A batch that is sure to run still when the next line of the test does. */
  readonly slowTexts: readonly string[];
  /** Called after `stop`: throws if a process or a timer is left. */
  close(): Promise<void>;
}

export interface WorkerPoolContractOptions {
  readonly skip?: readonly { readonly reason: string; readonly tests: readonly string[] }[];
  readonly timeoutMs?: number;
}

/** What every WorkerPool does, whatever stands behind it. `make` gives a pool that is not started. */
export function describeWorkerPool(
  name: string,
  make: () => Promise<PoolUnderTest>,
  { skip = [], timeoutMs = 10_000 }: WorkerPoolContractOptions = {},
): void {
  const reasons = new Map(skip.flatMap(({ reason, tests }) => tests.map((title) => [title, reason] as const)));
  const it = (title: string, body: () => Promise<void>): void => {
    const reason = reasons.get(title);
    reasons.delete(title);
    if (reason === undefined) test(title, { timeout: timeoutMs }, body);
    else test.skip(`${title} (${reason})`, body);
  };

  describe(`worker pool: ${name}`, () => {
    describe("while it serves", () => describeServing(make, it, timeoutMs));
    describe("when workers come and go", () => describeLosses(make, it));
    afterAll(() => expect([...reasons.keys()], "titles to skip that are no tests").toEqual([]));
  });
}

type DefineTest = (title: string, body: () => Promise<void>) => void;

interface Served extends PoolUnderTest {
  readonly recorder: PoolRecorder;
  readonly started: Promise<void>;
  /** Waits until all its workers are ready. */
  allReady(): Promise<readonly ReadyWorker[]>;
  batch(...texts: readonly string[]): BatchRequest;
}

function describeServing(make: () => Promise<PoolUnderTest>, it: DefineTest, timeoutMs: number): void {
  let served: Served;
  let workers: readonly ReadyWorker[];
  const run = (request: BatchRequest, worker = first(workers)) => served.pool.run(worker.id, request);

  beforeAll(async () => {
    served = await serve(make);
    workers = await served.allReady();
    await served.started;
  }, timeoutMs);
  afterAll(async () => {
    await withTimeout(served.pool.stop(0), "the pool to stop");
    await served.close();
  }, timeoutMs);

  it("hands out all its permits, as evenly as it goes", async () => {
    const permits = workers.map((worker) => worker.permits);
    expect(permits.reduce((sum, each) => sum + each, 0)).toBe(served.permits);
    expect(Math.max(...permits) - Math.min(...permits)).toBeLessThanOrEqual(1);
  });

  it("gives each worker its own id, and all the same model", async () => {
    expect(new Set(workers.map(({ id }) => id)).size).toBe(served.workers);
    const { revision, dimensions, maxTokens, pooling } = first(workers).model;
    for (const { model } of workers) {
      expect(model).toMatchObject({ model: served.model, revision, dimensions, maxTokens, pooling });
    }
  });

  it("shows every worker ready and without a problem", async () => {
    const { workersWanted, workers: shown } = served.pool.status();
    expect(workersWanted).toBe(served.workers);
    expect(shown.map(({ id }) => id).toSorted()).toEqual(workers.map(({ id }) => id).toSorted());
    expect(new Set(shown.map(({ state, problem }) => `${state} ${problem}`))).toEqual(new Set(["ready undefined"]));
  });

  it("answers one row per text, each the vector of its text (I4)", async () => {
    const texts = ["the first text", "a second one, which is a little longer", "third"];
    const { vectors, tokenCounts } = await run(served.batch(...texts));
    expect([vectors.rows, vectors.dimensions]).toEqual([3, first(workers).model.dimensions]);
    expect(vectors.data).toHaveLength(3 * vectors.dimensions);
    expect(tokenCounts).toHaveLength(3);
    for (const [row, text] of texts.entries()) {
      const alone = await run(served.batch(text));
      expect(difference(alone.vectors.data, rowOf(vectors, row))).toBeLessThan(1e-5);
    }
    expect(difference(rowOf(vectors, 0), rowOf(vectors, 1))).toBeGreaterThan(1e-2);
  });

  it("gives the same vectors whichever worker runs the batch", async () => {
    const results = await Promise.all(workers.map((worker) => run(served.batch("same", "texts"), worker)));
    for (const { vectors } of results) {
      expect(difference(vectors.data, first(results).vectors.data)).toBeLessThan(1e-5);
    }
  });

  it("keeps apart the batches that one worker has open at the same time", async () => {
    const worker = first(workers);
    const texts = Array.from({ length: worker.permits }, (_, at) => `batch number ${at}`);
    const together = await Promise.all(texts.map((text) => run(served.batch(text))));
    for (const [at, text] of texts.entries()) {
      const alone = await run(served.batch(text));
      expect(difference(together[at]?.vectors.data ?? [], alone.vectors.data)).toBeLessThan(1e-5);
    }
  });

  it("gives rows of length 1 when asked to normalise, and of their own length when not", async () => {
    const normalized = await run(served.batch("how long am I?"));
    expect(Math.hypot(...normalized.vectors.data)).toBeCloseTo(1, 4);
    const raw = await run({ ...served.batch("how long am I?"), normalize: false });
    expect(Math.abs(Math.hypot(...raw.vectors.data) - 1)).toBeGreaterThan(1e-3);
  });

  it("says which pooling ran", async () => {
    expect((await run({ ...served.batch("x"), pooling: "mean" })).pooling).toBe("mean");
    expect((await run({ ...served.batch("x"), pooling: "cls" })).pooling).toBe("cls");
    expect((await run(served.batch("x"))).pooling).toBe(first(workers).model.pooling);
  });

  it("says which texts were cut, and counts the tokens that are left", async () => {
    const { maxTokens } = first(workers).model;
    const long = "word ".repeat(2 * maxTokens);
    const { truncatedRows, tokenCounts } = await run(served.batch("short", long));
    expect(truncatedRows).toEqual([1]);
    expect(tokenCounts[1]).toBe(maxTokens);
    expect(tokenCounts[0]).toBeLessThan(10);
  });

  it("carries any Unicode text", async () => {
    const texts = ["", " ", "\0", "ß 漢字 👩‍👩‍👧 \u202e", '"\\\n', "a".repeat(100_000)];
    const { vectors, failedRows } = await run(served.batch(...texts));
    expect([vectors.rows, failedRows]).toEqual([texts.length, []]);
  });

  it("fails a batch for another model and keeps the worker", async () => {
    const failure = await failureOf(run({ ...served.batch("x"), model: "another" }));
    expect(failure.kind).toBe("batch_failed");
    expect((await run(served.batch("x"))).vectors.rows).toBe(1);
  });

  it("rejects a batch for a worker that is not there, and ignores its discard", async () => {
    const failure = await failureOf(served.pool.run("nobody", served.batch("x")));
    expect(failure.kind).toBe("worker_lost");
    served.pool.discard("nobody");
    expect(served.recorder.lost).toEqual([]);
  });

  it("marks a row that is no vector and answers the others (W29)", async () => {
    const { failedRows, vectors } = await run(served.batch("good", "fault:nan_row", "good"));
    expect(failedRows).toEqual([1]);
    expect(difference(rowOf(vectors, 0), rowOf(vectors, 2))).toBe(0);
  });

  it("fails a batch that the worker refuses, and keeps the worker", async () => {
    const failure = await failureOf(run(served.batch("good", "fault:error")));
    expect(failure.kind).toBe("batch_failed");
    expect(served.recorder.lost).toEqual([]);
  });

  it("rejects the start with `draining` when it is stopped before a worker is ready (C13)", async () => {
    const late = await make();
    const recorder = createPoolRecorder();
    const stopping = late.pool.stop(30_000);
    const failure = await late.pool.start(recorder).catch((error: unknown) => error);
    await withTimeout(stopping, "the pool to stop");
    expect(failure).toBeInstanceOf(AppError);
    expect(failure).toMatchObject({ code: "draining" });
    expect(recorder.ready).toEqual([]);
    await late.close();
  });
}

function describeLosses(make: () => Promise<PoolUnderTest>, it: DefineTest): void {
  let served: Served;
  beforeEach(async () => {
    served = await serve(make);
  });
  afterEach(async () => {
    await withTimeout(served.pool.stop(0), "the pool to stop");
    await served.close();
  });

  it("reports a discarded worker lost once, before its batches reject, and never from inside the call", async () => {
    const worker = first(await served.allReady());
    const lostFirst = served.pool
      .run(worker.id, served.batch(...served.slowTexts))
      .catch((error: unknown) => ({ error, lost: served.recorder.lost.map(({ workerId }) => workerId) }));
    served.pool.discard(worker.id);
    served.pool.discard(worker.id);
    expect(served.recorder.lost).toEqual([]);
    expect(await lostFirst).toEqual({ error: expect.objectContaining({ kind: "worker_lost" }), lost: [worker.id] });
    await served.allReady();
    expect(served.recorder.lost).toHaveLength(1);
  });

  it("replaces a lost worker by one with a new id and as many permits (I2)", async () => {
    const lost = first(await served.allReady());
    served.pool.discard(lost.id);
    await until("the worker is lost", () => served.recorder.lost.length === 1);
    const workers = await served.allReady();
    expect(workers.map(({ id }) => id)).not.toContain(lost.id);
    expect(workers.reduce((sum, { permits }) => sum + permits, 0)).toBe(served.permits);
    for (const { id } of workers) {
      expect((await served.pool.run(id, served.batch("after the loss"))).vectors.rows).toBe(1);
    }
  });

  it("loses the worker that dies over a batch, and no other", async () => {
    const [worker, ...others] = await served.allReady();
    if (worker === undefined) throw new Error("no worker");
    const failure = await failureOf(served.pool.run(worker.id, served.batch("fault:exit")));
    expect(failure.kind).toBe("worker_lost");
    expect(served.recorder.lost.map(({ workerId }) => workerId)).toEqual([worker.id]);
    for (const { id } of others) expect((await served.pool.run(id, served.batch("x"))).vectors.rows).toBe(1);
  });

  it("lets a running batch finish when it stops, then loses every worker once", async () => {
    const workers = await served.allReady();
    const running = served.pool.run(first(workers).id, served.batch("the last batch"));
    await withTimeout(Promise.all([served.pool.stop(30_000), served.pool.stop(30_000)]), "the pool to stop", 15_000);
    expect((await running).vectors.rows).toBe(1);
    expect(served.recorder.lost.map(({ workerId }) => workerId).toSorted()).toEqual(
      workers.map(({ id }) => id).toSorted(),
    );
    expect((await failureOf(served.pool.run(first(workers).id, served.batch("too late")))).kind).toBe("worker_lost");
  });

  it("gives up what still runs when the grace is over", async () => {
    const worker = first(await served.allReady());
    const failure = failureOf(served.pool.run(worker.id, served.batch(...served.slowTexts)));
    await withTimeout(served.pool.stop(0), "the pool to stop");
    expect((await failure).kind).toBe("worker_lost");
  });

  it("cuts the grace of one stop short by a second without grace (C12)", async () => {
    const worker = first(await served.allReady());
    const failure = failureOf(served.pool.run(worker.id, served.batch(...served.slowTexts)));
    const patient = served.pool.stop(600_000);
    await withTimeout(Promise.all([served.pool.stop(0), patient]), "the pool to stop");
    expect((await failure).kind).toBe("worker_lost");
  });
}

async function serve(make: () => Promise<PoolUnderTest>): Promise<Served> {
  const made = await make();
  const recorder = createPoolRecorder();
  const started = made.pool.start(recorder);
  started.catch(() => {});
  const batch = (...texts: readonly string[]): BatchRequest => ({
    model: made.model,
    pooling: "default",
    normalize: true,
    texts,
  });
  const allReady = (): Promise<readonly ReadyWorker[]> =>
    recorder.untilLive(made.workers).catch((cause: unknown) => {
      throw new Error(JSON.stringify(made.pool.status()), { cause });
    });
  return { ...made, recorder, started, allReady, batch };
}

async function failureOf(run: Promise<unknown>): Promise<BatchError> {
  const failure = await withTimeout(run, "the batch to end").then(
    () => undefined,
    (error: unknown) => error,
  );
  if (!(failure instanceof BatchError))
    throw new Error("the batch did not reject with a BatchError", { cause: failure });
  return failure;
}

function rowOf(vectors: { readonly data: Float32Array; readonly dimensions: number }, row: number): Float32Array {
  return vectors.data.subarray(row * vectors.dimensions, (row + 1) * vectors.dimensions);
}

function difference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) return Infinity;
  return Math.max(...Array.from(actual, (value, at) => Math.abs(value - (expected[at] ?? Number.NaN))));
}

function first<T>(items: readonly T[]): T {
  const [item] = items;
  if (item === undefined) throw new Error("there is none");
  return item;
}
