import { describe, expect, test } from "vitest";
import type { SchedulerCommand, SchedulerEvent } from "../../runtime/scheduler/events.ts";
import { at, createTestScheduler, inWords, play, type Step } from "./script.ts";

const rows: readonly { readonly rule: string; readonly steps: readonly Step[] }[] = [
  {
    rule: "W07: a single input that kills twice is poison",
    steps: [
      [at(0).ready("a")],
      [at(0).submit(1, [1]), "run 1 on a: 1.0"],
      [at(1).lost("a")],
      [at(2).ready("b"), "run 2 on b: 1.0"],
      [at(3).lost("b"), "reject 1: poison_input, input 0"],
    ],
  },
  {
    rule: "W31: a batch that died once runs again as it was; after its second death it runs in halves",
    steps: [
      [at(0).submit(1, [1, 1, 1, 1])],
      [at(0).ready("a"), "run 1 on a: 1.0 1.1 1.2 1.3"],
      [at(1).failed(1), "run 2 on a: 1.0 1.1 1.2 1.3"],
      [at(2).failed(2), "run 3 on a: 1.0 1.1"],
      [at(3).finished(3), "run 4 on a: 1.2 1.3"],
      [at(4).failed(4), "run 5 on a: 1.2"],
      [at(5).finished(5), "run 6 on a: 1.3"],
      [at(6).failed(6), "reject 1: poison_input, input 3"],
    ],
  },
  {
    rule: "W31: a batch that cost two workers runs one by one, so that it costs but one more",
    steps: [
      [at(0).submit(1, [1, 1, 1, 1])],
      [at(0).ready("a"), "run 1 on a: 1.0 1.1 1.2 1.3"],
      [at(1).lost("a")],
      [at(1).ready("b"), "run 2 on b: 1.0 1.1 1.2 1.3"],
      [at(2).lost("b")],
      [at(2).ready("c"), "run 3 on c: 1.0"],
      [at(3).finished(3), "run 4 on c: 1.1"],
      [at(4).finished(4), "run 5 on c: 1.2"],
      [at(5).lost("c"), "reject 1: poison_input, input 2"],
    ],
  },
  {
    rule: "W31: nobody joins the batch of suspects, nor their worker",
    steps: [
      [at(0).ready("a", 2)],
      [at(0).submit(1, [1]), "run 1 on a: 1.0"],
      [at(1).submit(2, [1, 1, 1, 1, 1]), "run 2 on a: 2.0 2.1 2.2 2.3"],
      [at(2).failed(1)],
      [at(3).finished(2), "run 3 on a: 1.0"],
      [at(4).submit(3, [1, 1, 1])],
      [at(5).finished(3), "complete 1", "run 4 on a: 2.4 3.0 3.1 3.2"],
    ],
  },
  {
    rule: "W31: an innocent input that died with the poison runs again and completes",
    steps: [
      [at(0).submit(1, [1])],
      [at(0).submit(2, [1])],
      [at(1).ready("a"), "run 1 on a: 1.0 2.0"],
      [at(2).lost("a")],
      [at(3).ready("b"), "run 2 on b: 1.0 2.0"],
      [at(4).lost("b")],
      [at(5).ready("c"), "run 3 on c: 1.0"],
      [at(6).lost("c"), "reject 1: poison_input, input 0"],
      [at(7).ready("d"), "run 4 on d: 2.0"],
      [at(8).finished(4), "complete 2"],
    ],
  },
];

test.each(rows)("$rule", ({ steps }) => {
  play(steps);
});

/** Submits calls of one input each, one of them poison; returns how many batches died and what became of the calls. */
function search(inputs: number, poisonAt: number, death: "worker_lost" | "batch_failed"): Search {
  const scheduler = createTestScheduler({ inputsMax: 32, queueInputsMax: 64, queueTokensMax: 64 });
  const ends: string[] = [];
  let deaths = 0;
  let workers = 1;
  const agenda: SchedulerEvent[] = [];
  const follow = (commands: readonly SchedulerCommand[]): void => {
    for (const command of commands) {
      if (command.type === "complete_call" || command.type === "reject_call") ends.push(inWords(command));
      if (command.type !== "run_batch") continue;
      const { id, inputs: batch } = command.batch;
      const dies = batch.some(({ callId }) => callId === poisonAt);
      if (dies) deaths += 1;
      if (!dies) agenda.push(at(0).finished(id));
      else if (death === "batch_failed") agenda.push(at(0).failed(id));
      else agenda.push(at(0).lost(command.workerId), at(0).ready(`worker ${++workers}`));
    }
  };
  for (let id = 0; id < inputs; id += 1) follow(scheduler.handle(at(0).submit(id, [1])));
  follow(scheduler.handle(at(0).ready("worker 1")));
  for (let event = agenda.shift(); event !== undefined; event = agenda.shift()) follow(scheduler.handle(event));
  return { deaths, ends };
}

interface Search {
  readonly deaths: number;
  readonly ends: readonly string[];
}

describe.each(["worker_lost", "batch_failed"] as const)("W31: one poison in a batch, by %s", (death) => {
  test.each([1, 2, 3, 4, 5, 8, 13, 31, 32])("of %i: only it is refused, after at most log2(n) + 2 deaths", (inputs) => {
    for (let poisonAt = 0; poisonAt < inputs; poisonAt += 1) {
      const { deaths, ends } = search(inputs, poisonAt, death);
      const completed = Array.from({ length: inputs }, (_, id) => `complete ${id}`).filter((_, id) => id !== poisonAt);
      expect(ends.toSorted()).toEqual([...completed, `reject ${poisonAt}: poison_input, input 0`].toSorted());
      expect(deaths).toBeLessThanOrEqual(Math.ceil(Math.log2(inputs)) + 2);
    }
  });
});

test("where every batch dies, the workers are to blame: worker_failed after three refusals as poison", () => {
  const scheduler = createTestScheduler({ inputsMax: 1, attemptsMax: 4 });
  const ends: string[] = [];
  const deaths = new Map<number, number>();
  const follow = (commands: readonly SchedulerCommand[], atMs: number): void => {
    for (const command of commands) {
      if (command.type === "reject_call") ends.push(`${command.callId} ${command.reason}`);
      if (command.type !== "run_batch") continue;
      const [input] = command.batch.inputs;
      if (input !== undefined) deaths.set(input.callId, (deaths.get(input.callId) ?? 0) + 1);
      follow(scheduler.handle(at(atMs).failed(command.batch.id)), atMs + 1);
    }
  };
  for (let id = 1; id <= 5; id += 1) follow(scheduler.handle(at(0).submit(id, [1])), 1);
  follow(scheduler.handle(at(1).ready("a")), 2);
  expect(ends).toEqual(["1 poison_input", "2 poison_input", "3 poison_input", "4 worker_failed", "5 worker_failed"]);
  expect([...deaths.values()]).toEqual([2, 2, 2, 4, 4]);
});

test("one finished batch restores the belief in the workers", () => {
  const fails = (id: number, atMs: number): readonly Step[] => [
    [at(atMs).submit(id, [1]), `run ${3 * id - 2} on a: ${id}.0`],
    [at(atMs).failed(3 * id - 2), `run ${3 * id - 1} on a: ${id}.0`],
    [at(atMs).failed(3 * id - 1), `reject ${id}: poison_input, input 0`],
    [at(atMs).submit(100 + id, [1]), `run ${3 * id} on a: ${100 + id}.0`],
    [at(atMs).finished(3 * id), `complete ${100 + id}`],
  ];
  play([[at(0).ready("a")], ...[1, 2, 3, 4, 5].flatMap((id) => fails(id, id))]);
});
