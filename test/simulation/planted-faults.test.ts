import { expect, test } from "vitest";
import { type Fault, loadFaultyRoom } from "./faulty-room.ts";
import { runSeed } from "./world.ts";

/** Each fault must show within so many seeds. */
const SEEDS = 300;

interface PlantedFault extends Fault {
  readonly fault: string;
  /** The law that must notice, or one of them. */
  readonly caughtBy: RegExp;
}

const plantedFaults: readonly PlantedFault[] = [
  {
    fault: "W02: a worker that dies idle keeps its permits",
    file: "scheduler.ts",
    find: "    this.#permits.workerLost(workerId);\n",
    replace: "",
    caughtBy: /is not ready|readyWorkers/,
  },
  {
    fault: "Q19: a failed batch keeps its permit",
    file: "scheduler.ts",
    find: "    this.#permits.release(flight.workerId);\n    this.#retry",
    replace: "    this.#retry",
    caughtBy: /freePermits|is idle/,
  },
  {
    fault: "Q20: a doubled answer frees the permit twice",
    file: "flights.ts",
    find: "    this.#flights.delete(id);\n",
    replace: "",
    caughtBy: /flights|freePermits/,
  },
  {
    fault: "Q21: a late answer of a discarded worker counts",
    file: "flights.ts",
    find: "    for (const flight of lost) this.#flights.delete(flight.id);\n",
    replace: "",
    caughtBy: /flights/,
  },
  {
    fault: "W01: the inputs of a lost worker go to the tail",
    file: "call-queue.ts",
    find: "while (follower !== undefined && follower.arrival < input.arrival)",
    replace: "while (follower !== undefined)",
    caughtBy: /not the head of the queue/,
  },
  {
    fault: "W01: lost batches come back in the order of their loss",
    file: "call-queue.ts",
    find: "      while (follower !== undefined && follower.arrival < input.arrival) follower = follower.next;\n",
    replace: "",
    caughtBy: /not the head of the queue/,
  },
  {
    fault: "W31: a failed batch is never tried again",
    file: "scheduler.ts",
    find: "    this.#retry(flight.inputs, flight.inputs.length === 1);\n",
    replace: "",
    caughtBy: /queueInputs|flyingInputs|did not settle|not the head/,
  },
  {
    fault: "Q02: inputs of an aborted call are tried again after a death",
    file: "scheduler.ts",
    find: "      if (input.call.settled) continue;\n",
    replace: "",
    caughtBy: /Inputs is|not the head|is not open/,
  },
  {
    fault: "Q01: an abort leaves an input in the queue",
    file: "scheduler.ts",
    find: "for (const input of call.inputs) if (input.waiting)",
    replace: "for (const input of call.inputs.slice(0, -1)) if (input.waiting)",
    caughtBy: /queueInputs|not the head/,
  },
  {
    fault: "Q18: a short input passes a long one",
    file: "call-queue.ts",
    find: "if (taken.length === count) break;",
    replace: "if (taken.length === count) break;\n      if (input.tokens > 30 && taken.length + 1 < count) continue;",
    caughtBy: /not the head of the queue/,
  },
  {
    fault: "a batch mixes keys",
    file: "batch-policy.ts",
    find: "      input.batchKey === head.batchKey &&\n",
    replace: "",
    caughtBy: /mixes keys/,
  },
  {
    fault: "a batch ignores its token budget",
    file: "batch-policy.ts",
    find: "      paddedTokens <= budget.paddedTokensMax &&\n",
    replace: "",
    caughtBy: /over its token budget/,
  },
  {
    fault: "a part batch is sent ahead to a busy worker",
    file: "scheduler.ts",
    find: " || !cut.full",
    replace: "",
    caughtBy: /others could join/,
  },
  {
    fault: "one idle worker takes what others could share",
    file: "scheduler.ts",
    find: "Math.ceil(this.#queue.inputs / idleWorkers)",
    replace: "this.#queue.inputs",
    caughtBy: /share of another/,
  },
  {
    fault: "a busy worker is preferred to an idle one",
    file: "permits.ts",
    find: "worker.taken < best.taken ||",
    replace: "worker.taken > best.taken ||",
    caughtBy: /busy worker got a batch|others could join|share of another|is idle/,
  },
  {
    fault: "W31: suspects share a batch with others",
    file: "batch-policy.ts",
    find: " &&\n      input.shareMax === head.shareMax",
    replace: "",
    caughtBy: /suspects share|worker of suspects/,
  },
  {
    fault: "W31: suspects are sent to a busy worker",
    file: "scheduler.ts",
    find: "isSuspect(head) || ",
    replace: "",
    caughtBy: /suspects share a worker|worker of suspects|innocent/,
  },
  {
    fault: "W31: a batch is sent behind suspects",
    file: "scheduler.ts",
    find: "worker.isolated = isSuspect(head);",
    replace: "",
    caughtBy: /worker of suspects/,
  },
  {
    fault: "W31: suspects are not halved",
    file: "suspects.ts",
    find: "Math.ceil(death.batchInputs / 2)",
    replace: "death.batchInputs",
    caughtBy: /not halved/,
  },
  {
    fault: "W31: the first death alone counts as guilt",
    file: "suspects.ts",
    find: "death.alone && isSuspect(input)",
    replace: "death.alone",
    caughtBy: /innocent/,
  },
  {
    fault: "Q30: neighbours of an input without a vector are refused",
    file: "scheduler.ts",
    find: "failedInputs.has(position)",
    replace: "failedInputs.size > 0",
    caughtBy: /not complete|innocent|did not fail alone/,
  },
  {
    fault: "W04: an overdue batch is ignored",
    file: "flights.ts",
    find: "this.#overdueAtMs(flight) <= atMs",
    replace: "this.#overdueAtMs(flight) <= -1",
    caughtBy: /overdue worker was kept/,
  },
  {
    fault: "a batch that waits behind another is timed from its start",
    file: "flights.ts",
    find: "this.#oldestOf(departure.workerId) === undefined ? atMs : undefined",
    replace: "atMs",
    caughtBy: /discarded in time|is not ready/,
  },
  {
    fault: "Q09: a call is given up although it can be met",
    file: "scheduler.ts",
    find: "call.deadlineAtMs - expectedMs < atMs",
    replace: "call.deadlineAtMs - 10 * expectedMs < atMs",
    caughtBy: /refused before its deadline/,
  },
  {
    fault: "Q08: the timer is not armed again",
    file: "scheduler.ts",
    find: "    this.#timerAtMs = Infinity;\n",
    replace: "",
    caughtBy: /no timer is set/,
  },
  {
    fault: "Q08: the deadlines come in the wrong order",
    file: "deadlines.ts",
    find: "rightAtMs < leftAtMs",
    replace: "rightAtMs > leftAtMs",
    caughtBy: /did not settle|no timer is set/,
  },
  {
    fault: "Q08: a clean-up of settled calls forgets a live one",
    file: "deadlines.ts",
    find: "(call) => !call.settled",
    replace: "(call, index) => !call.settled && index > 0",
    caughtBy: /did not settle|no timer is set/,
  },
  {
    fault: "Q11: inputs in flight of a call that is over are still counted",
    file: "live-calls.ts",
    find: "    this.flyingInputs -= call.flying;\n",
    replace: "",
    caughtBy: /flyingInputs/,
  },
  {
    fault: "Q17: the queue's token bound is not kept",
    file: "admission.ts",
    find: " && queue.tokens + tokens <= limits.queueTokensMax",
    replace: " && tokens >= 0",
    caughtBy: /more than its bounds/,
  },
  {
    fault: "Q25: Retry-After is not a number before the first batch",
    file: "admission.ts",
    find: "tokensPerMs === undefined ? RETRY_UNKNOWN_MS : tokens / (tokensPerMs *",
    replace: "tokens / ((tokensPerMs ?? Number.NaN) *",
    caughtBy: /Retry-After/,
  },
  {
    fault: "Q28: drained is announced twice",
    file: "scheduler.ts",
    find: '    this.#drain = "announced";\n',
    replace: "",
    caughtBy: /announced twice/,
  },
  {
    fault: "Q28: a call is admitted while draining",
    file: "scheduler.ts",
    find: '    if (this.#drain !== "no") return "draining";\n',
    replace: "",
    caughtBy: /admitted while draining|queue_full|announced with calls left|not announced/,
  },
];

test.each(plantedFaults)("the simulation notices: $fault", async ({ caughtBy, ...fault }) => {
  const room = await loadFaultyRoom([fault]);
  expect(() => {
    for (let seed = 1; seed <= SEEDS; seed += 1) runSeed(seed, room);
  }).toThrow(caughtBy);
});

test("a copy without a fault passes the same seeds", async () => {
  const room = await loadFaultyRoom([]);
  for (let seed = 1; seed <= SEEDS; seed += 1) runSeed(seed, room);
});
