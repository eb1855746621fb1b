import { describe, expect, test } from "vitest";
import { CallQueue } from "../../runtime/scheduler/call-queue.ts";
import type { Priority } from "../../runtime/scheduler/events.ts";
import { at, createTestScheduler, inWords, play, type Step } from "./script.ts";

const [ada, bob, bulk] = [{ tenant: "ada" }, { tenant: "bob" }, { priority: "bulk" }] as const;

const rows: readonly { readonly rule: string; readonly steps: readonly Step[] }[] = [
  {
    rule: "I3: tenants take turns, each in order of arrival",
    steps: [
      [at(0).submit(1, [10, 10, 10], ada)],
      [at(1).submit(2, [10, 10, 10], bob)],
      [at(2).ready("a"), "run 1 on a: 1.0 2.0 1.1 2.1"],
      [at(3).finished(1), "run 2 on a: 1.2 2.2"],
    ],
  },
  {
    rule: "Q31: turns are counted in tokens: many short inputs for one long one",
    steps: [
      [at(0).submit(1, [25, 25], ada)],
      [at(1).submit(2, [10, 10, 10, 10], bob)],
      [at(2).ready("a"), "run 1 on a: 1.0 2.0 2.1 2.2"],
      [at(3).finished(1), "run 2 on a: 1.1 2.3"],
    ],
  },
  {
    rule: "Q31: a tenant that comes back has saved nothing up",
    steps: [
      [at(0).submit(1, [10, 10, 10, 10, 10, 10], ada)],
      [at(1).ready("a"), "run 1 on a: 1.0 1.1 1.2 1.3"],
      [at(2).submit(2, [10, 10], bob)],
      [at(3).finished(1), "run 2 on a: 2.0 1.4 2.1 1.5"],
    ],
  },
  {
    rule: "W01: what died in a batch goes first, whoever's turn it is",
    steps: [
      [at(0).submit(1, [50, 50], ada)],
      [at(1).ready("a"), "run 1 on a: 1.0 1.1"],
      [at(2).submit(2, [50, 50], bob)],
      [at(3).lost("a")],
      [at(4).ready("b"), "run 2 on b: 1.0 1.1"],
    ],
  },
  {
    rule: "I3: interactive goes before bulk",
    steps: [
      [at(0).submit(1, [90], bulk)],
      [at(1).submit(2, [90])],
      [at(2).ready("a"), "run 1 on a: 2.0"],
      [at(3).finished(1), "complete 2", "run 2 on a: 1.0"],
    ],
  },
  {
    rule: "Q31: a full queue refuses the tenant that holds more than its share",
    steps: [
      [at(0).ready("a")],
      [at(0).submit(1, [1], ada), "run 1 on a: 1.0"],
      [at(1).submit(2, [1, 1, 1], ada)],
      [at(2).submit(3, [1, 1, 1, 1], bob)],
      [at(3).submit(4, [1, 1], ada), "reject 4: tenant_queue_full, retry after 2000"],
    ],
  },
  {
    rule: "Q31: a tenant within its share is let in, and the newest call of the flood makes room",
    steps: [
      [at(0).ready("a")],
      [at(0).submit(1, [1], ada), "run 1 on a: 1.0"],
      [at(1).submit(2, [1, 1, 1, 1], ada)],
      [at(2).submit(3, [1, 1, 1, 1], ada)],
      [at(3).submit(4, [1, 1], bob), "reject 3: tenant_queue_full, retry after 2000"],
      [at(4).finished(1), "complete 1", "run 2 on a: 4.0 2.0 4.1 2.1"],
    ],
  },
  {
    rule: "Q31: the only tenant may fill the queue, and is told that it is full",
    steps: [
      [at(0).ready("a")],
      [at(0).submit(1, [1], ada), "run 1 on a: 1.0"],
      [at(1).submit(2, [1, 1, 1, 1, 1, 1, 1, 1], ada)],
      [at(2).submit(3, [1], ada), "reject 3: queue_full, retry after 2000"],
    ],
  },
];

test.each(rows)("$rule", ({ steps }) => {
  play(steps);
});

describe("D3: beside a flood of large calls", () => {
  test.each([1, 2, 4])(
    "a single text of another tenant waits for one batch per permit at most (%i permits)",
    (permits) => {
      const scheduler = createTestScheduler({ queueInputsMax: 1_000, queueTokensMax: 100_000 });
      scheduler.handle(at(0).ready("a", permits));
      const running: number[] = [];
      const follow = (commands: readonly ReturnType<typeof scheduler.handle>[number][]): boolean => {
        for (const command of commands) if (command.type === "run_batch") running.push(command.batch.id);
        return commands.some((command) => inWords(command).includes("999.0"));
      };
      for (let id = 1; id <= 20; id += 1) follow(scheduler.handle(at(0).submit(id, [90, 90, 90, 90], ada)));
      expect(running).toHaveLength(permits);
      let started = follow(scheduler.handle(at(1).submit(999, [90], bob)));
      let batches = 0;
      while (!started) {
        batches += 1;
        started = follow(scheduler.handle(at(1 + batches).finished(running.shift() ?? 0)));
      }
      // The permit that the first batch gives back.
      expect(batches).toBe(1);
    },
  );
});

/** Tokens of each priority among the first `batches` of one input each, with both waiting all the while. */
function shareOf(priority: Priority, batches: number): number {
  const scheduler = createTestScheduler({ inputsMax: 1, queueInputsMax: 9_000, queueTokensMax: 900_000 });
  for (let id = 1; id <= batches; id += 1) {
    scheduler.handle(at(0).submit(id, [10], { priority: "interactive" }));
    scheduler.handle(at(0).submit(10_000 + id, [30], { priority: "bulk" }));
  }
  const tokens = { interactive: 0, bulk: 0 };
  let commands = scheduler.handle(at(1).ready("a"));
  for (let batch = 1; batch <= batches; batch += 1) {
    for (const command of commands) {
      if (command.type !== "run_batch") continue;
      tokens[(command.batch.inputs[0]?.callId ?? 0) > 10_000 ? "bulk" : "interactive"] += command.batch.paddedTokens;
    }
    commands = scheduler.handle(at(1 + batch).finished(batch));
  }
  return tokens[priority] / (tokens.interactive + tokens.bulk);
}

test("I3: while both wait, bulk inputs get a tenth of the tokens", () => {
  expect(shareOf("bulk", 2_000)).toBeCloseTo(0.1, 2);
});

test("Q32: 100,000 tenants that come and go leave no trace behind", () => {
  const queue = new CallQueue();
  const call = { batchKey: "k", inputTokens: [1], deadlineAtMs: Infinity };
  queue.append({ ...call, id: 0, tenant: "waits", inputTokens: [1, 1] });
  const heapBefore = process.memoryUsage().heapUsed;
  for (let id = 1; id <= 100_000; id += 1) {
    const { inputs } = queue.append({ ...call, id, tenant: `tenant ${id}` });
    if (id % 2 === 0) queue.take(inputs);
    else for (const input of inputs) queue.remove(input);
  }
  expect(queue.holdings.size).toBe(1);
  // 1,024 remembered tenants are some 0.3 MiB; all of them would be 30.
  expect(process.memoryUsage().heapUsed - heapBefore).toBeLessThan(100 * 2 ** 20);
});
