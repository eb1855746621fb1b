import { describe, expect, test } from "vitest";
import { CallQueue } from "../../runtime/scheduler/call-queue.ts";
import { Deadlines } from "../../runtime/scheduler/deadlines.ts";
import type { LiveCall } from "../../runtime/scheduler/input-list.ts";
import { at, createTestScheduler, inWords, play, type Step } from "./script.ts";

const rows: readonly { readonly rule: string; readonly steps: readonly Step[] }[] = [
  {
    rule: "Q08: a call that waits is refused at its deadline, not when its turn comes",
    steps: [
      [at(0).ready("a")],
      [at(0).submit(1, [90]), "run 1 on a: 1.0"],
      [at(1).submit(2, [90], { deadlineAtMs: 50 })],
      [at(50).timer(), "reject 2: deadline_exceeded, queued"],
      [at(90).finished(1), "complete 1"],
    ],
  },
  {
    rule: "Q09: a call whose answer would come too late ends without a permit",
    steps: [
      [at(0).ready("a")],
      [at(0).submit(1, [90]), "run 1 on a: 1.0"],
      [at(1).submit(2, [90], { deadlineAtMs: 150 })],
      [at(1).submit(3, [90], { deadlineAtMs: 201 })],
      [at(100).finished(1), "complete 1", "reject 2: deadline_exceeded, queued", "run 2 on a: 3.0"],
    ],
  },
  {
    rule: "Q09: a short input is not judged by what a long one took",
    steps: [
      [at(0).ready("a")],
      [at(0).submit(1, [90]), "run 1 on a: 1.0"],
      [at(1).submit(2, [9], { deadlineAtMs: 110 })],
      [at(100).finished(1), "complete 1", "run 2 on a: 2.0"],
    ],
  },
  {
    rule: "Q09: without the hopeless call its neighbours start at once",
    steps: [
      [at(0).ready("a")],
      [at(0).submit(1, [30]), "run 1 on a: 1.0"],
      [at(1).submit(2, [10])],
      [at(1).submit(3, [10], { deadlineAtMs: 105 })],
      [at(1).submit(4, [10])],
      [at(100).finished(1), "complete 1", "reject 3: deadline_exceeded, queued", "run 2 on a: 2.0 4.0"],
    ],
  },
  {
    rule: "Q09: only what is about to start is judged; the rest keeps its hope until its turn",
    steps: [
      [at(0).ready("a")],
      [at(0).submit(1, [90]), "run 1 on a: 1.0"],
      [at(1).submit(2, [90])],
      [at(1).submit(3, [90], { deadlineAtMs: 150 })],
      [at(100).finished(1), "complete 1", "run 2 on a: 2.0"],
      [at(150).timer(), "reject 3: deadline_exceeded, queued"],
    ],
  },
  {
    rule: "Q09: with no service time known every call is tried",
    steps: [[at(0).ready("a")], [at(0).submit(1, [90], { deadlineAtMs: 1 }), "run 1 on a: 1.0"]],
  },
  {
    rule: "Q09: a slow batch long ago refuses nobody",
    steps: [
      [at(0).ready("a")],
      [at(0).submit(1, [1]), "run 1 on a: 1.0"],
      [at(900).finished(1), "complete 1"],
      [at(1_000).submit(2, [1], { deadlineAtMs: 1_500 }), "reject 2: deadline_exceeded, queued"],
      [at(3_601).submit(3, [1], { deadlineAtMs: 4_100 }), "run 2 on a: 3.0"],
    ],
  },
  {
    rule: "Q11: a deadline in flight is told at once, and the permit stays until the batch ends",
    steps: [
      [at(0).ready("a")],
      [at(0).submit(1, [1], { deadlineAtMs: 50 }), "run 1 on a: 1.0"],
      [at(50).timer(), "reject 1: deadline_exceeded, in_flight"],
      [at(60).submit(2, [1])],
      [at(90).finished(1), "run 2 on a: 2.0"],
    ],
  },
  {
    rule: "a call with part of its vectors is in flight, even while the rest waits",
    steps: [
      [at(0).ready("a")],
      [at(0).submit(1, [90, 90], { deadlineAtMs: 90 }), "run 1 on a: 1.0"],
      [at(10).finished(1), "run 2 on a: 1.1"],
      [at(20).lost("a")],
      [at(90).timer(), "reject 1: deadline_exceeded, in_flight"],
    ],
  },
  {
    rule: "Q35: a late timer does not let an expired call start or complete",
    steps: [
      [at(0).ready("a")],
      [at(0).submit(1, [90], { deadlineAtMs: 50 }), "run 1 on a: 1.0"],
      [at(1).submit(2, [90], { deadlineAtMs: 60 })],
      [at(2_000).finished(1), "reject 1: deadline_exceeded, in_flight", "reject 2: deadline_exceeded, queued"],
    ],
  },
  {
    rule: "two calls of one deadline expire together",
    steps: [
      [at(0).submit(1, [1], { deadlineAtMs: 50 })],
      [at(0).submit(2, [1], { deadlineAtMs: 50 })],
      [at(50).timer(), "reject 1: deadline_exceeded, queued", "reject 2: deadline_exceeded, queued"],
    ],
  },
];

test.each(rows)("$rule", ({ steps }) => {
  play(steps);
});

describe("the timer", () => {
  const timersOf = (steps: readonly Step[]): readonly (readonly string[])[] => {
    const scheduler = createTestScheduler();
    return steps.map(([event]) => {
      const words = scheduler.handle(event).map(inWords);
      return words.filter((each) => each.startsWith("timer"));
    });
  };

  test("is set for the first deadline, and moves only to an earlier one", () => {
    const timers = timersOf([
      [at(0).submit(1, [1], { deadlineAtMs: 500 })],
      [at(1).submit(2, [1], { deadlineAtMs: 800 })],
      [at(2).submit(3, [1], { deadlineAtMs: 300 })],
    ]);
    expect(timers).toEqual([["timer 500"], [], ["timer 300"]]);
  });

  test("is armed again when it fires, also when it fires for nothing", () => {
    const timers = timersOf([
      [at(0).submit(1, [1], { deadlineAtMs: 300 })],
      [at(1).submit(2, [1], { deadlineAtMs: 800 })],
      [at(2).abort(1)],
      [at(300).timer()],
    ]);
    expect(timers).toEqual([["timer 300"], [], [], ["timer 800"]]);
  });

  test("is set for the batch timeout of what runs and for the end of the grace", () => {
    const timers = timersOf([[at(0).ready("a")], [at(10).submit(1, [1])], [at(20).drain(500)]]);
    expect(timers).toEqual([[], ["timer 1010"], ["timer 520"]]);
  });

  test("is not set where nothing can expire", () => {
    expect(timersOf([[at(0).ready("a")], [at(0).submit(1, [1, 1, 1, 1, 1, 1, 1, 1, 1])]])).toEqual([[], []]);
  });
});

test("settled calls are cleaned out of the deadline heap before they outnumber the live ones", () => {
  const queue = new CallQueue();
  const deadlines = new Deadlines();
  const newCall = (id: number): LiveCall =>
    queue.append({ id, batchKey: "k", inputTokens: [1], deadlineAtMs: 60_000 + id });
  const live = Array.from({ length: 20 }, (_, id) => newCall(id));
  for (const call of live) deadlines.add(call);
  const sizes: number[] = [];
  for (let id = 20; id < 10_000; id += 1) {
    const call = newCall(id);
    deadlines.add(call);
    call.settled = true;
    deadlines.callSettled();
    sizes.push(deadlines.size);
  }
  expect(Math.max(...sizes)).toBe(40);
  // Cleaning up at every settle would be a scan of the live calls each time.
  expect(sizes.filter((size) => size === 20).length).toBeLessThan(sizes.length / 10);
});

test("calls leave the deadline heap in order, whatever order they came and settled in", () => {
  const queue = new CallQueue();
  const deadlines = new Deadlines();
  const calls: LiveCall[] = [];
  for (let id = 0; id < 1_000; id += 1) {
    // 7,919 is prime to 1,000: every deadline once, in no order.
    calls.push(queue.append({ id, batchKey: "k", inputTokens: [1], deadlineAtMs: (id * 7_919) % 1_000 }));
  }
  for (const call of calls) deadlines.add(call);
  for (const call of calls.filter(({ id }) => id % 10 !== 0)) {
    call.settled = true;
    deadlines.callSettled();
  }
  const order: number[] = [];
  for (let call = deadlines.first(); call !== undefined; call = deadlines.first()) {
    order.push(call.deadlineAtMs);
    call.settled = true;
    deadlines.callSettled();
  }
  expect(order).toHaveLength(100);
  expect(order).toEqual(order.toSorted((a, b) => a - b));
});
