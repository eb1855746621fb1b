import { expect, test } from "vitest";
import { Permits } from "../../runtime/scheduler/permits.ts";
import { at, play, type Step } from "./script.ts";

const rows: readonly { readonly rule: string; readonly steps: readonly Step[] }[] = [
  {
    rule: "a freed permit goes to the call that has waited longest",
    steps: [
      [at(0).ready("a")],
      [at(0).submit(1, [90]), "run 1 on a: 1.0"],
      [at(1).submit(2, [90])],
      [at(2).submit(3, [90])],
      [at(40).finished(1), "complete 1", "run 2 on a: 2.0"],
    ],
  },
  {
    rule: "of idle workers the one that worked last goes first, whose caches are warm",
    steps: [
      [at(0).ready("a")],
      [at(0).ready("b")],
      [at(1).submit(1, [1]), "run 1 on a: 1.0"],
      [at(2).submit(2, [1]), "run 2 on b: 2.0"],
      [at(3).finished(2), "complete 2"],
      [at(4).finished(1), "complete 1"],
      [at(5).submit(3, [1]), "run 3 on a: 3.0"],
    ],
  },
  {
    rule: "of busy workers the one whose batch has run longest is sent the next full batch",
    steps: [
      [at(0).ready("a", 2)],
      [at(0).ready("b", 2)],
      [at(1).submit(1, [1]), "run 1 on a: 1.0"],
      [at(2).submit(2, [1]), "run 2 on b: 2.0"],
      [at(3).finished(1), "complete 1"],
      [at(4).submit(3, [1]), "run 3 on a: 3.0"],
      [at(5).submit(4, [1, 1, 1, 1]), "run 4 on b: 4.0 4.1 4.2 4.3"],
    ],
  },
  {
    rule: "one call of many inputs uses every idle worker",
    steps: [
      [at(0).ready("a")],
      [at(0).ready("b")],
      [at(0).ready("c")],
      [at(1).submit(1, [1, 1, 1, 1, 1, 1, 1]), "run 1 on a: 1.0 1.1 1.2", "run 2 on b: 1.3 1.4", "run 3 on c: 1.5 1.6"],
    ],
  },
  {
    rule: "calls of one instant share the batch that the last of them starts",
    steps: [
      [at(0).ready("a")],
      [at(1).submit(1, [1], { moreFollow: true })],
      [at(1).submit(2, [1], { moreFollow: true })],
      [at(1).submit(3, [1]), "run 1 on a: 1.0 2.0 3.0"],
    ],
  },
  {
    rule: "a busy worker is not sent a batch that later arrivals could join",
    steps: [
      [at(0).ready("a", 2)],
      [at(0).submit(1, [1]), "run 1 on a: 1.0"],
      [at(1).submit(2, [1, 1])],
      [at(2).submit(3, [1])],
      [at(9).finished(1), "complete 1", "run 2 on a: 2.0 2.1 3.0"],
    ],
  },
  {
    rule: "a busy worker is sent a full batch ahead",
    steps: [
      [at(0).ready("a", 2)],
      [at(0).submit(1, [1]), "run 1 on a: 1.0"],
      [at(1).submit(2, [1, 1, 1])],
      [at(2).submit(3, [1]), "run 2 on a: 2.0 2.1 2.2 3.0"],
      [at(3).submit(4, [1, 1, 1, 1])],
    ],
  },
  {
    rule: "a batch that the next input cannot join is full, by tokens or by key",
    steps: [
      [at(0).ready("a", 3)],
      [at(0).submit(1, [1]), "run 1 on a: 1.0"],
      [at(1).submit(2, [60])],
      [at(2).submit(3, [60]), "run 2 on a: 2.0"],
      [at(3).submit(4, [1], { batchKey: "other" }), "run 3 on a: 3.0"],
    ],
  },
  {
    rule: "an idle worker is preferred to a second batch on a busy one",
    steps: [
      [at(0).ready("a", 2)],
      [at(0).submit(1, [1]), "run 1 on a: 1.0"],
      [at(1).ready("b", 1)],
      [at(2).submit(2, [1, 1, 1, 1]), "run 2 on b: 2.0 2.1 2.2 2.3"],
    ],
  },
  {
    rule: "W02: a worker lost while idle takes its permits along, and no call sees it",
    steps: [
      [at(0).ready("a", 2)],
      [at(1).lost("a")],
      [at(2).submit(1, [1])],
      [at(3).ready("b"), "run 1 on b: 1.0"],
      [at(9).finished(1), "complete 1"],
    ],
  },
  {
    rule: "W37: beside a slow worker the fast one takes what waits, and the slow one keeps its batch until the limit",
    steps: [
      [at(0).ready("slow")],
      [at(0).ready("fast")],
      [at(1).submit(1, [1]), "run 1 on slow: 1.0"],
      [at(2).submit(2, [1]), "run 2 on fast: 2.0"],
      [at(3).submit(3, [1])],
      [at(4).finished(2), "complete 2", "run 3 on fast: 3.0"],
      [at(5).submit(4, [1])],
      [at(6).finished(3), "complete 3", "run 4 on fast: 4.0"],
      [at(7).finished(4), "complete 4"],
      [at(900).timer()],
      [at(950).finished(1), "complete 1"],
    ],
  },
  {
    rule: "Q22: permits are taken away while in use: the batches end, and none starts before the debt is paid",
    steps: [
      [at(0).ready("a", 3)],
      [at(1).submit(1, [90, 90, 90]), "run 1 on a: 1.0", "run 2 on a: 1.1"],
      [at(2).submit(2, [90, 90]), "run 3 on a: 1.2"],
      [at(3).permits("a", 1)],
      [at(4).finished(1)],
      [at(5).finished(2)],
      [at(6).finished(3), "complete 1", "run 4 on a: 2.0"],
      [at(7).finished(4), "run 5 on a: 2.1"],
    ],
  },
  {
    rule: "Q22: a worker whose last permit is taken away gets nothing, until it has one again",
    steps: [
      [at(0).ready("a")],
      [at(1).permits("a", 0)],
      [at(2).submit(1, [1])],
      [at(3).permits("a", 1), "run 1 on a: 1.0"],
    ],
  },
  {
    rule: "more permits are used at once, where a full batch waits",
    steps: [
      [at(0).ready("a")],
      [at(1).submit(1, [90, 90, 90]), "run 1 on a: 1.0"],
      [at(2).permits("a", 2), "run 2 on a: 1.1"],
      [at(3).permits("nobody", 2)],
    ],
  },
  {
    rule: "Q22: permits shrink while calls wait, and none of them is lost",
    steps: [
      [at(0).ready("a")],
      [at(0).ready("b")],
      [at(1).submit(1, [90]), "run 1 on a: 1.0"],
      [at(1).submit(2, [90]), "run 2 on b: 2.0"],
      [at(2).submit(3, [90])],
      [at(3).lost("b")],
      [at(4).finished(1), "complete 1", "run 3 on a: 2.0"],
      [at(5).finished(3), "complete 2", "run 4 on a: 3.0"],
      [at(6).finished(4), "complete 3"],
    ],
  },
];

test.each(rows)("$rule", ({ steps }) => {
  play(steps);
});

test("Q19: n permits run n batches at a time, and no more", () => {
  const scheduler = play([
    [at(0).ready("a", 2)],
    [at(0).ready("b", 2)],
    [at(1).submit(1, [90, 90, 90, 90, 90]), "reject 1: queue_full, retry after 2000"],
    [at(2).submit(2, [90, 90, 90, 90]), "run 1 on a: 2.0", "run 2 on b: 2.1", "run 3 on a: 2.2"],
    [at(3).submit(3, [90, 90]), "run 4 on b: 2.3"],
  ]);
  expect(scheduler.snapshot()).toMatchObject({ flights: 4, freePermits: 0, queueInputs: 2 });
});

test("Q20: a permit released for a worker that is gone frees nothing", () => {
  const permits = new Permits();
  permits.workerReady("a", 1);
  permits.workerLost("a");
  permits.release("a");
  expect(permits.free).toBe(0);
});

test("W12: a worker reported ready twice keeps the permits it has", () => {
  const permits = new Permits();
  permits.workerReady("a", 1);
  permits.workerReady("a", 3);
  expect(permits.free).toBe(1);
});
