import { expect, test } from "vitest";
import { at, createTestScheduler, inWords, play, type Step } from "./script.ts";

const rows: readonly { readonly rule: string; readonly steps: readonly Step[] }[] = [
  {
    rule: "Q01: an input aborted while it waits never starts, and the others keep their order",
    steps: [
      [at(0).submit(1, [1])],
      [at(1).submit(2, [1, 1])],
      [at(2).submit(3, [1])],
      [at(3).abort(2)],
      [at(4).ready("a"), "run 1 on a: 1.0 3.0"],
    ],
  },
  {
    rule: "Q01: an abort at the head lets the next one start",
    steps: [
      [at(0).ready("a")],
      [at(0).submit(1, [90]), "run 1 on a: 1.0"],
      [at(1).submit(2, [90])],
      [at(2).submit(3, [90])],
      [at(3).abort(2)],
      [at(4).finished(1), "complete 1", "run 2 on a: 3.0"],
    ],
  },
  {
    rule: "Q02: a batch in flight goes on after an abort and keeps its permit; what waits of the call is not sent",
    steps: [
      [at(0).ready("a")],
      [at(0).submit(1, [90, 90]), "run 1 on a: 1.0"],
      [at(1).abort(1)],
      [at(2).submit(2, [1])],
      [at(9).finished(1), "run 2 on a: 2.0"],
    ],
  },
  {
    rule: "Q03: an abort just before the hand-off wins",
    steps: [[at(0).submit(1, [1])], [at(5).abort(1)], [at(5).ready("a")]],
  },
  {
    rule: "Q03: an abort just after the hand-off loses, and the permit comes back",
    steps: [
      [at(0).submit(1, [1])],
      [at(5).ready("a"), "run 1 on a: 1.0"],
      [at(5).abort(1)],
      [at(9).finished(1)],
      [at(9).submit(2, [1]), "run 2 on a: 2.0"],
    ],
  },
  {
    rule: "Q04: an abort of a call that is over, or never was, does nothing",
    steps: [
      [at(0).ready("a")],
      [at(0).submit(1, [1]), "run 1 on a: 1.0"],
      [at(5).finished(1), "complete 1"],
      [at(6).abort(1)],
      [at(6).abort(99)],
    ],
  },
  {
    rule: "an aborted call's inputs are not tried again when their worker is lost",
    steps: [
      [at(0).ready("a")],
      [at(0).submit(1, [1, 1]), "run 1 on a: 1.0 1.1"],
      [at(1).abort(1)],
      [at(2).lost("a")],
      [at(3).ready("b")],
    ],
  },
];

test.each(rows)("$rule", ({ steps }) => {
  play(steps);
});

test("Q05: 9,990 of 10,000 waiting calls are aborted in one tick, and the ten left run in order", () => {
  const calls = 10_000;
  const scheduler = createTestScheduler({ inputsMax: 10, queueInputsMax: calls, queueTokensMax: calls });
  const startMs = performance.now();
  for (let id = 1; id <= calls; id += 1) scheduler.handle(at(0).submit(id, [1], { deadlineAtMs: 60_000 + id }));
  for (let id = 1; id <= calls; id += 1) if (id % 1_000 !== 0) scheduler.handle(at(1).abort(id));
  const commands = scheduler.handle(at(2).ready("a"));
  const tookMs = performance.now() - startMs;
  expect(commands.map(inWords)).toContain(
    "run 1 on a: 1000.0 2000.0 3000.0 4000.0 5000.0 6000.0 7000.0 8000.0 9000.0 10000.0",
  );
  expect(scheduler.snapshot()).toMatchObject({ queueInputs: 0, queueTokens: 0, liveInputs: 10 });
  // Takes some 20 ms; a scan of the queue for each abort would take tens of seconds.
  expect(tookMs).toBeLessThan(2_000);
});
