import { test } from "vitest";
import { at, play, type Step } from "./script.ts";

const rows: readonly { readonly rule: string; readonly steps: readonly Step[] }[] = [
  {
    rule: "Q29: with nothing left, drained is announced at once, and once",
    steps: [[at(0).ready("a")], [at(1).drain(500), "drained"], [at(2).drain(500)], [at(600).timer()]],
  },
  {
    rule: "Q28: a drain refuses new calls and lets the admitted ones run",
    steps: [
      [at(0).ready("a")],
      [at(0).submit(1, [90]), "run 1 on a: 1.0"],
      [at(1).submit(2, [90])],
      [at(2).drain(500)],
      [at(3).submit(3, [1]), "reject 3: draining, retry after 1000"],
      [at(9).finished(1), "complete 1", "run 2 on a: 2.0"],
      [at(20).finished(2), "complete 2", "drained"],
      [at(21).submit(4, [1]), "reject 4: draining, retry after 1000"],
    ],
  },
  {
    rule: "Q28: what is left when the grace ends is refused",
    steps: [
      [at(0).ready("a")],
      [at(0).submit(1, [90]), "run 1 on a: 1.0"],
      [at(1).submit(2, [90])],
      [at(2).drain(500)],
      [at(502).timer(), "reject 1: draining, retry after 1000", "reject 2: draining, retry after 1000", "drained"],
      [at(600).finished(1)],
    ],
  },
  {
    rule: "an abort of the last call ends the drain",
    steps: [[at(0).submit(1, [1])], [at(1).drain(500)], [at(2).abort(1), "drained"]],
  },
  {
    rule: "a second drain may shorten the grace, not lengthen it",
    steps: [
      [at(0).submit(1, [1])],
      [at(1).drain(500)],
      [at(2).drain(9_000)],
      [at(3).drain(10)],
      [at(13).timer(), "reject 1: draining, retry after 1000", "drained"],
    ],
  },
  {
    rule: "a worker lost during the drain gives its inputs to the next",
    steps: [
      [at(0).ready("a")],
      [at(0).submit(1, [1]), "run 1 on a: 1.0"],
      [at(1).drain(500)],
      [at(2).lost("a")],
      [at(3).ready("b"), "run 2 on b: 1.0"],
      [at(4).finished(2), "complete 1", "drained"],
    ],
  },
];

test.each(rows)("$rule", ({ steps }) => {
  play(steps);
});
