import { expect, test } from "vitest";
import { HostState, watched } from "../../runtime/host/host-state.ts";
import { readinessOf, type ServingState } from "../../runtime/http/readiness.ts";
import { computeOf } from "../../runtime/pool/compute.ts";
import type { ModelPoolListener } from "../../runtime/pool/model-pool.ts";
import { fakeModelInfo } from "../doubles/fake-answer.ts";

const nobody: ModelPoolListener = { workerReady() {}, workerLost() {}, modelUnloaded() {}, modelFailed() {} };
const noWorkers = { workersWanted: 0, workers: [] };

function given(): { state: HostState; listener: ModelPoolListener } {
  const state = new HostState();
  return { state, listener: watched(nobody, state) };
}

function ready(listener: ModelPoolListener, id: string, model: string): void {
  listener.workerReady({ id, permits: 1, model: fakeModelInfo({ model, revision: `${model}-1` }) });
}

type Waiting = ServingState["waiting"][number];
const loading: Waiting = { problem: "The worker is loading its model.", cannotStart: false, restartInMs: undefined };
const broken: Waiting = { problem: "The worker cannot start: bad_model.", cannotStart: true, restartInMs: 400 };
const serving = (more: Partial<ServingState>): ServingState => ({
  isDraining: false,
  wasReady: false,
  workersReady: 0,
  workersWanted: 2,
  waiting: [loading, loading],
  ...more,
});

test.each<[string, Partial<ServingState>, string]>([
  ["starting while a worker loads its model", {}, "starting"],
  ["starting while one of them may still succeed", { waiting: [broken, loading] }, "starting"],
  ["start_failed where none can start (W09)", { waiting: [broken, broken] }, "start_failed"],
  ["start_failed where none can start again", { waiting: [broken, broken], wasReady: true }, "start_failed"],
  ["no_worker where all were lost", { wasReady: true }, "no_worker"],
  ["draining before all else", { isDraining: true, waiting: [broken, broken] }, "draining"],
])("a host that cannot serve is %s", (_, more, code) => {
  expect(readinessOf(serving(more))).toMatchObject({ ready: false, code });
});

test("one worker is enough to serve", () => {
  expect(readinessOf(serving({ workersReady: 1, waiting: [broken] }))).toEqual({
    ready: true,
    workersReady: 1,
    workersWanted: 2,
  });
});

test("what workers say alike is said once, and the first of their next starts is when to ask again", () => {
  const waiting = [broken, { ...broken, restartInMs: 300 }];
  expect(readinessOf(serving({ waiting }))).toMatchObject({ problems: [broken.problem], retryAfterMs: 300 });
});

test("a host is not ready before its first worker", () => {
  const { state } = given();
  expect(readinessOf(state.serving(noWorkers, [{ model: "a", stage: "loading" }]))).toMatchObject({ code: "starting" });
});

test("it stays ready while a second model loads, and tells of each", () => {
  const { state, listener } = given();
  ready(listener, "worker-1.1", "a");
  const models = [
    { model: "a", stage: "loaded" },
    { model: "b", stage: "loading" },
    { model: "c", stage: "cold" },
  ];
  expect(readinessOf(state.serving({ workersWanted: 2, workers: [] }, models))).toEqual({
    ready: true,
    workersReady: 1,
    workersWanted: 2,
    compute: computeOf(fakeModelInfo()),
    models: [
      { name: "a", stage: "loaded", revision: "a-1", workersReady: 1 },
      { name: "b", stage: "loading", revision: undefined, workersReady: 0 },
    ],
  });
});

test("it stays ready while one model makes room for another", () => {
  const { state, listener } = given();
  ready(listener, "worker-1.1", "a");
  listener.modelUnloaded("a");
  expect(state.readyWorkers.size).toBe(0);
  for (const stage of ["cold", "loading", "unloading"]) {
    expect(readinessOf(state.serving(noWorkers, [{ model: "a", stage }]))).toMatchObject({ ready: true });
  }
});

test("it is not ready when every worker of what is loaded is gone", () => {
  const { state, listener } = given();
  ready(listener, "worker-1.1", "a");
  listener.workerLost("worker-1.1", "died");
  expect(readinessOf(state.serving(noWorkers, [{ model: "a", stage: "loaded" }]))).toMatchObject({
    ready: false,
    code: "no_worker",
  });
});
