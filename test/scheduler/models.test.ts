import { describe, expect, test } from "vitest";
import { cutFromHead } from "../../runtime/scheduler/batch-policy.ts";
import type { Scheduler, SchedulerEvent, SchedulerLimits } from "../../runtime/scheduler/events.ts";
import { createScheduler } from "../../runtime/scheduler/scheduler.ts";
import { at, createTestScheduler, inWords, play, smallLimits } from "./script.ts";

/** Each model takes 100 of 250 bytes, so that two fit; "huge" never does. */
const models = {
  memoryBytesMax: 250,
  bytes: new Map([
    ["a", 100],
    ["b", 100],
    ["c", 100],
    ["huge", 300],
  ]),
  first: "a",
  workers: 1,
};
const of = (model: string) => ({ model, batchKey: model });

/** The commands of one event in words, without the timer. */
function tell(scheduler: Scheduler, event: SchedulerEvent): readonly string[] {
  return scheduler
    .handle(event)
    .filter(({ type }) => type !== "set_timer")
    .map(inWords);
}

function given(limits: Partial<SchedulerLimits>, events: readonly SchedulerEvent[]): Scheduler {
  const scheduler = createTestScheduler({ models, ...limits });
  for (const event of events) scheduler.handle(event);
  return scheduler;
}

/** "a" and "b" are loaded and idle; "a" was used last. */
const twoLoaded: readonly SchedulerEvent[] = [
  at(0).ready("a1", 1, { model: "a" }),
  at(1_000).submit(1, [5], of("b")),
  at(2_000).ready("b1", 1, { model: "b" }),
  at(2_010).finished(1),
  at(4_000).submit(2, [5], of("a")),
  at(4_010).finished(2),
];

describe("several models on one pool", () => {
  test("a model that nobody asked for is loaded on demand, and its calls wait for it", () => {
    play(
      [
        [at(0).ready("a1", 1, { model: "a" })],
        [at(10).submit(1, [5], of("b")), "load b"],
        [at(20).submit(2, [5], of("b"))],
        [at(900).ready("b1", 1, { model: "b" }), "run 1 on b1: 1.0 2.0"],
        [at(910).finished(1), "complete 1", "complete 2"],
      ],
      { models },
    );
  });

  test("a model that is loading never delays one that is loaded", () => {
    play(
      [
        [at(0).ready("a1", 1, { model: "a" })],
        [at(10).submit(1, [5, 5, 5, 5, 5, 5], of("b")), "load b"],
        [at(20).submit(2, [5], of("a")), "run 1 on a1: 2.0"],
        [at(25).submit(3, [5], of("a"))],
        [at(30).finished(1), "complete 2", "run 2 on a1: 3.0"],
      ],
      { models },
    );
  });

  test("the queue of a cold model may be full while a warm one takes calls", () => {
    const scheduler = given({ queueInputsMax: 4 }, [
      at(0).ready("a1", 1, { model: "a" }),
      at(1).submit(1, [1, 1, 1, 1], of("b")),
    ]);
    expect(tell(scheduler, at(2).submit(2, [1], of("b")))).toEqual(["reject 2: starting, retry after 2000"]);
    expect(tell(scheduler, at(3).submit(3, [1], of("a")))).toEqual(["run 1 on a1: 3.0"]);
  });

  test("the model that was used least recently makes room, and the next is loaded once its processes have ended", () => {
    const scheduler = given({}, twoLoaded);
    expect(tell(scheduler, at(9_000).submit(3, [5], of("c")))).toEqual(["unload b"]);
    expect(tell(scheduler, at(9_001).submit(4, [5], of("a")))).toEqual(["run 3 on a1: 4.0"]);
    expect(tell(scheduler, at(9_050).unloaded("b"))).toEqual(["load c"]);
    expect(tell(scheduler, at(9_900).ready("c1", 1, { model: "c" }))).toEqual(["run 4 on c1: 3.0"]);
  });

  test("an unloaded model comes back when it is asked for", () => {
    const scheduler = given({}, [...twoLoaded, at(9_000).submit(3, [5], of("c")), at(9_050).unloaded("b")]);
    for (const event of [at(9_900).ready("c1", 1, { model: "c" }), at(9_910).finished(3)]) scheduler.handle(event);
    expect(tell(scheduler, at(20_000).submit(4, [5], of("b")))).toEqual(["unload a"]);
    expect(tell(scheduler, at(20_010).unloaded("a"))).toEqual(["load b"]);
    expect(tell(scheduler, at(21_000).ready("b2", 1, { model: "b" }))).toEqual(["run 4 on b2: 4.0"]);
  });

  test("a late worker of a model that is being unloaded gets nothing", () => {
    const scheduler = given({}, [...twoLoaded, at(9_000).submit(3, [5], of("c"))]);
    scheduler.handle(at(9_001).submit(4, [5], of("b")));
    expect(tell(scheduler, at(9_002).ready("b2", 1, { model: "b" }))).toEqual([]);
    expect(scheduler.snapshot()).toMatchObject({ readyWorkers: 1, queueInputs: 2 });
  });

  test("an idle model stays for as long as its load took after its last use", () => {
    const scheduler = given({}, [
      at(0).ready("a1", 1, { model: "a" }),
      at(1_000).submit(1, [5], of("b")),
      at(4_000).ready("b1", 1, { model: "b" }),
      at(4_010).submit(2, [5], of("a")),
      at(4_020).finished(1),
      at(4_030).finished(2),
    ]);
    // The load of "b" took 3 s.
    expect(tell(scheduler, at(4_100).submit(3, [5], of("c")))).toEqual([]);
    expect(scheduler.handle(at(5_010).timer()).map(inWords)).toEqual(["timer 7020"]);
    expect(tell(scheduler, at(7_020).timer())).toEqual(["unload b"]);
  });

  test("where all are in use the one that came first makes room after its turn: no further batch, and none is cut short", () => {
    const scheduler = given({}, [
      at(0).ready("a1", 1, { model: "a" }),
      at(10).submit(1, [5], of("b")),
      at(1_010).ready("b1", 1, { model: "b" }),
      at(1_100).submit(2, [5], of("a")),
      at(1_200).submit(3, [5], of("c")),
    ]);
    // "a" has been there since 0 and stays for four times the shortest load: until 2,000.
    expect(tell(scheduler, at(1_300).submit(4, [5], of("a")))).toEqual([]);
    expect(tell(scheduler, at(2_000).timer())).toEqual([]);
    expect(tell(scheduler, at(2_010).finished(2))).toEqual(["complete 2", "unload a"]);
    expect(tell(scheduler, at(2_020).unloaded("a"))).toEqual(["load c"]);
    expect(tell(scheduler, at(2_600).ready("c1", 1, { model: "c" }))).toEqual(["run 3 on c1: 3.0"]);
  });

  test("a model serves what waited when it came before it can be displaced", () => {
    const scheduler = given({ inputsMax: 1 }, [
      at(0).ready("a1", 1, { model: "a" }),
      at(10).submit(1, [5, 5, 5], of("b")),
      at(510).ready("b1", 1, { model: "b" }),
      at(520).submit(2, [5], of("a")),
      at(530).submit(3, [5], of("c")),
      at(540).finished(2),
      at(1_040).timer(),
    ]);
    // "a" has gone; "c" and then "a" are waited for, and "b" has stayed long enough at 2,510, but not served its first call.
    scheduler.handle(at(1_050).unloaded("a"));
    scheduler.handle(at(1_600).ready("c1", 1, { model: "c" }));
    scheduler.handle(at(1_610).submit(4, [5], of("a")));
    scheduler.handle(at(1_620).submit(5, [5], of("b")));
    scheduler.handle(at(1_630).submit(6, [5], of("c")));
    expect(tell(scheduler, at(2_700).finished(1))).toEqual(["run 4 on b1: 1.1"]);
    expect(tell(scheduler, at(2_800).finished(4))).toEqual(["run 5 on b1: 1.2"]);
    expect(tell(scheduler, at(2_900).finished(5))).toEqual(["complete 1", "unload b"]);
  });

  test("a model that could not be loaded fails its own callers, and is left alone for 30 s", () => {
    const scheduler = given({}, [
      at(0).ready("a1", 1, { model: "a" }),
      at(1).submit(1, [5], of("b")),
      at(2).submit(2, [5], of("a")),
    ]);
    expect(tell(scheduler, at(900).modelFailed("b"))).toEqual(["reject 1: model_unavailable, retry after 30000"]);
    expect(tell(scheduler, at(15_900).submit(3, [5], of("b")))).toEqual([
      "reject 3: model_unavailable, retry after 15000",
    ]);
    expect(tell(scheduler, at(15_901).finished(1))).toEqual(["complete 2"]);
    expect(tell(scheduler, at(30_900).submit(4, [5], of("b")))).toEqual(["load b"]);
  });

  test("a model that can never fit is refused at once", () => {
    const scheduler = given({}, [at(0).ready("a1", 1, { model: "a" })]);
    expect(tell(scheduler, at(1).submit(1, [5], of("huge")))).toEqual(["reject 1: model_too_large"]);
  });

  test("a model that took more than was assumed makes others go", () => {
    const scheduler = given({}, [
      at(0).ready("a1", 1, { model: "a" }),
      at(10_000).submit(1, [5], of("b")),
      at(11_000).ready("b1", 1, { model: "b", memoryBytes: 200 }),
    ]);
    expect(tell(scheduler, at(11_010).finished(1))).toEqual(["complete 1"]);
    expect(scheduler.snapshot().models).toEqual([
      { model: "a", stage: "unloading", memoryBytes: 100 },
      { model: "b", stage: "loaded", memoryBytes: 200 },
      { model: "c", stage: "cold", memoryBytes: 0 },
      { model: "huge", stage: "cold", memoryBytes: 0 },
    ]);
  });

  test("Q08 a deadline that passes while the model loads says so", () => {
    const scheduler = given({}, [at(0).ready("a1", 1, { model: "a" })]);
    scheduler.handle(at(1).submit(1, [5], { ...of("b"), deadlineAtMs: 500 }));
    expect(tell(scheduler, at(500).timer())).toEqual(["reject 1: deadline_exceeded, loading"]);
  });

  test("the permits are one number over all models, and an idle worker goes before a busy one", () => {
    play(
      [
        [at(0).ready("a1", 2, { model: "a" })],
        [at(1).ready("b1", 2, { model: "b" })],
        [
          at(2).submit(1, [1, 1, 1, 1, 1, 1, 1, 1], of("a")),
          "run 1 on a1: 1.0 1.1 1.2 1.3",
          "run 2 on a1: 1.4 1.5 1.6 1.7",
        ],
        [at(3).submit(2, [1, 1, 1, 1], of("a"))],
        [at(4).submit(3, [1], of("b"))],
        [at(5).finished(1), "run 3 on b1: 3.0"],
        [at(6).finished(2), "complete 1", "run 4 on a1: 2.0 2.1 2.2 2.3"],
      ],
      { flightsMax: 2, queueInputsMax: 20 },
    );
  });

  test("that number may change while they run: fewer let what runs end, more start what waits (Q22)", () => {
    let flightsMax = 2;
    const limits = {
      ...smallLimits,
      get flightsMax() {
        return flightsMax;
      },
    };
    const scheduler = createScheduler(limits, cutFromHead, () => 0.5);
    for (const model of ["a", "b"]) scheduler.handle(at(0).ready(`${model}1`, 2, { model }));
    for (const [id, model] of ["a", "b", "a", "b"].entries())
      scheduler.handle(at(1).submit(id, [1, 1, 1, 1], of(model)));
    expect(scheduler.snapshot()).toMatchObject({ flights: 2, queueInputs: 8 });
    flightsMax = 1;
    expect(tell(scheduler, at(2).permits("a1", 1))).toEqual([]);
    expect(tell(scheduler, at(3).finished(1))).toEqual(["complete 0"]);
    expect(tell(scheduler, at(4).finished(2))).toEqual(["complete 1", "run 3 on b1: 3.0 3.1 3.2 3.3"]);
    flightsMax = 2;
    expect(tell(scheduler, at(5).permits("a1", 2))).toEqual(["run 4 on a1: 2.0 2.1 2.2 2.3"]);
  });

  test("how fast one model is says nothing about another", () => {
    const scheduler = given({ batchTargetMs: 10, inputsMax: 8 }, [
      at(0).ready("a1", 1, { model: "a" }),
      at(0).submit(1, [10], of("a")),
      at(1_000).finished(1),
      at(1_001).submit(2, [5], of("b")),
    ]);
    scheduler.handle(at(1_002).submit(3, [10, 10, 10], of("b")));
    expect(tell(scheduler, at(2_000).ready("b1", 1, { model: "b" }))).toEqual(["run 2 on b1: 2.0 3.0 3.1 3.2"]);
    expect(tell(scheduler, at(2_001).submit(4, [10, 10], of("a")))).toEqual(["run 3 on a1: 4.0"]);
  });
});
