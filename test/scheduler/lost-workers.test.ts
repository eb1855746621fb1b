import { test } from "vitest";
import { at, play, type Step } from "./script.ts";

const rows: readonly { readonly rule: string; readonly steps: readonly Step[] }[] = [
  {
    rule: "W01: the inputs of a lost worker go back to the head in their order, once, and a spare takes them",
    steps: [
      [at(0).ready("a")],
      [at(0).submit(1, [50, 50]), "run 1 on a: 1.0 1.1"],
      [at(1).submit(2, [90])],
      [at(2).submit(3, [90])],
      [at(3).lost("a")],
      [at(4).ready("b"), "run 2 on b: 1.0 1.1"],
      [at(5).finished(2), "complete 1", "run 3 on b: 2.0"],
      [at(6).finished(3), "complete 2", "run 4 on b: 3.0"],
    ],
  },
  {
    rule: "W01: two lost workers give their inputs back in order of arrival, whoever died first",
    steps: [
      [at(0).ready("a")],
      [at(0).ready("b")],
      [at(0).submit(1, [50, 50]), "run 1 on a: 1.0", "run 2 on b: 1.1"],
      [at(1).submit(2, [50])],
      [at(2).lost("a")],
      [at(3).lost("b")],
      [at(4).ready("c", 1), "run 3 on c: 1.0"],
    ],
  },
  {
    rule: "W01: every batch of a lost worker comes back",
    steps: [
      [at(0).ready("a", 2)],
      [at(0).submit(1, [90]), "run 1 on a: 1.0"],
      [at(1).submit(2, [90])],
      [at(2).submit(3, [90]), "run 2 on a: 2.0"],
      [at(3).lost("a")],
      [at(4).ready("b"), "run 3 on b: 1.0"],
      [at(5).finished(3), "complete 1", "run 4 on b: 2.0"],
      [at(6).finished(4), "complete 2", "run 5 on b: 3.0"],
    ],
  },
  {
    rule: "W04: the worker of an overdue batch is discarded, and its inputs run elsewhere",
    steps: [
      [at(0).ready("a")],
      [at(0).ready("b")],
      [at(0).submit(1, [1]), "run 1 on a: 1.0"],
      [at(999).timer()],
      [at(1_000).timer(), "discard a", "run 2 on b: 1.0"],
      [at(1_001).lost("a")],
      [at(1_002).finished(2), "complete 1"],
    ],
  },
  {
    rule: "W04: a batch that waits behind another is timed from its turn",
    steps: [
      [at(0).ready("a", 2)],
      [at(0).submit(1, [90]), "run 1 on a: 1.0"],
      [at(1).submit(2, [90, 90]), "run 2 on a: 2.0"],
      [at(900).finished(1), "complete 1"],
      [at(1_800).timer()],
      [at(1_900).timer(), "discard a"],
    ],
  },
  {
    rule: "Q35 C19: a late timer gives back what it was late, so that an answer that lies there unread counts",
    steps: [
      [at(0).ready("a")],
      [at(0).submit(1, [1]), "run 1 on a: 1.0"],
      [at(3_000).timer()],
      [at(3_001).finished(1), "complete 1"],
    ],
  },
  {
    rule: "Q35: but once, and at most another batch timeout",
    steps: [
      [at(0).ready("a")],
      [at(0).submit(1, [1]), "run 1 on a: 1.0"],
      [at(3_600_000).timer()],
      [at(3_600_999).timer()],
      [at(3_601_500).timer(), "discard a"],
    ],
  },
  {
    rule: "W06 W25 Q21: a late answer of a discarded worker is ignored and frees no permit",
    steps: [
      [at(0).ready("a")],
      [at(0).submit(1, [1]), "run 1 on a: 1.0"],
      [at(1_000).timer(), "discard a"],
      [at(1_001).finished(1)],
      [at(1_002).submit(2, [1])],
      [at(1_003).ready("b"), "run 2 on b: 1.0"],
      [at(1_004).failed(1)],
      [at(1_005).finished(2), "complete 1", "run 3 on b: 2.0"],
    ],
  },
  {
    rule: "W26 Q20: a doubled answer is ignored and frees no permit",
    steps: [
      [at(0).ready("a")],
      [at(0).submit(1, [1]), "run 1 on a: 1.0"],
      [at(1).submit(2, [90])],
      [at(2).submit(3, [90])],
      [at(3).finished(1), "complete 1", "run 2 on a: 2.0"],
      [at(4).finished(1)],
      [at(5).finished(2), "complete 2", "run 3 on a: 3.0"],
    ],
  },
  {
    rule: "W29 Q30: an input without a vector refuses its own call, and its neighbours complete",
    steps: [
      [at(0).submit(1, [1])],
      [at(0).submit(2, [1, 1])],
      [at(0).submit(3, [1])],
      [at(1).ready("a"), "run 1 on a: 1.0 2.0 2.1 3.0"],
      [at(9).finished(1, [2]), "complete 1", "reject 2: poison_input, input 1", "complete 3"],
    ],
  },
  {
    rule: "a worker lost twice, or never known, is lost once",
    steps: [
      [at(0).ready("a")],
      [at(0).submit(1, [1]), "run 1 on a: 1.0"],
      [at(1).lost("a")],
      [at(2).lost("a")],
      [at(3).lost("nobody")],
      [at(4).ready("b"), "run 2 on b: 1.0"],
    ],
  },
];

test.each(rows)("$rule", ({ steps }) => {
  play(steps);
});
