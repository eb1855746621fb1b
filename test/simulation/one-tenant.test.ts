import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { cutFromHead } from "../../runtime/scheduler/batch-policy.ts";
import type { Scheduler } from "../../runtime/scheduler/events.ts";
import { createScheduler } from "../../runtime/scheduler/scheduler.ts";
import { loadFaultyRoom } from "./faulty-room.ts";
import { runSeed, type SchedulerRoom } from "./world.ts";

const SEEDS = 1_000;

/** A scheduler that compares each of its commands with those of the other room's. */
function besides(reference: SchedulerRoom, compared: { events: number }): SchedulerRoom["createScheduler"] {
  return (limits, policy, random) => {
    const drawn: number[] = [];
    const fair: Scheduler = createScheduler(limits, policy, () => {
      const number = random();
      drawn.push(number);
      return number;
    });
    const plain = reference.createScheduler(limits, reference.cutFromHead, () => drawn.shift() ?? Number.NaN);
    return {
      snapshot: () => fair.snapshot(),
      handle(event) {
        const commands = fair.handle(event);
        compared.events += 1;
        const expected = plain.handle(event);
        // Comparing every command with `expect` takes ten times as long.
        if (JSON.stringify(commands) !== JSON.stringify(expected)) expect(commands).toEqual(expected);
        return commands;
      },
    };
  };
}

test(
  `D3: one tenant gets the same commands as from a plain queue, in ${SEEDS} worlds`,
  { timeout: 60_000 },
  async () => {
    const plainQueue = await readFile(new URL("plain-queue.ts", import.meta.url), "utf8");
    const reference = await loadFaultyRoom([], {
      "call-queue.ts": plainQueue.replaceAll("../../runtime/scheduler/", "./"),
    });
    const compared = { events: 0 };
    const room: SchedulerRoom = { createScheduler: besides(reference, compared), cutFromHead };
    for (let seed = 1; seed <= SEEDS; seed += 1) runSeed(seed, room, { tenants: 1, lookAheadInputsMax: 0 });
    expect(compared.events).toBeGreaterThan(100 * SEEDS);
  },
);
