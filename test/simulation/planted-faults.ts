import type { Fault } from "./faulty-room.ts";

export interface PlantedFault extends Fault {
  readonly fault: string;
  /** The law that must notice, or one of them. */
  readonly caughtBy: RegExp;
}

/** Faults in the queue, its batches and its deadlines. */
export const plantedFaults: readonly PlantedFault[] = [
  {
    fault: "Q02: inputs of an aborted call are tried again after a death",
    file: "scheduler.ts",
    find: "      if (input.call.settled) continue;\n",
    replace: "",
    caughtBy: /Inputs is|the head of|is not open|does not wait/,
  },
  {
    fault: "Q01: an abort leaves an input in the queue",
    file: "scheduler.ts",
    find: "for (const input of call.inputs) if (input.list !== undefined)",
    replace: "for (const input of call.inputs.slice(0, -1)) if (input.list !== undefined)",
    caughtBy: /queueInputs|the head of/,
  },
  {
    fault: "Q18: a short input passes a long one",
    file: "input-list.ts",
    find: "    this.#insertBefore(undefined, input);",
    replace: "    this.#insertBefore(input.tokens < 4 ? this.last : undefined, input);",
    caughtBy: /the head of the queue/,
  },
  {
    fault: "D4: the look-ahead passes an input again and again",
    file: "length-buckets.ts",
    find: "Math.min(allowance - 1, passesMax - input.passedOver)",
    replace: "passesMax",
    caughtBy: /passed over more often|full batch waits|busy worker/,
  },
  {
    fault: "D4: nobody counts how often an input is passed over",
    file: "call-queue.ts",
    find: "input.passedOver += starting.size",
    replace: "input.passedOver += 0",
    caughtBy: /passed over more often|busy worker|full batch waits/,
  },
  {
    fault: "D4: the look-ahead leaves the head out",
    file: "length-buckets.ts",
    find: "const bucket = new Set([head]);",
    replace: "const bucket = new Set(others.length > 3 ? others.slice(0, 1) : [head]);",
    caughtBy: /without the head/,
  },
  {
    fault: "D4: of equal lengths the last goes first",
    file: "length-buckets.ts",
    find: "toSorted((a, b) => b.tokens - a.tokens)",
    replace: "toReversed().toSorted((a, b) => b.tokens - a.tokens)",
    caughtBy: /same length/,
  },
  {
    fault: "D4: a bucket takes any length",
    file: "length-buckets.ts",
    find: "PADDING_MAX = 1.15",
    replace: "PADDING_MAX = 4",
    caughtBy: /mostly padding/,
  },
  {
    fault: "D4: the look-ahead reaches past another key",
    file: "length-buckets.ts",
    find: "if (allowance < 1 || !isLike)",
    replace: "if (!isLike) continue;\n    if (allowance < 1)",
    caughtBy: /passed over|same length|busy worker|full batch waits/,
  },
  {
    fault: "D4: a batch is cut without regard to its time",
    file: "batch-budget.ts",
    find: "Math.min(limits.tokensMax ?? Infinity, inTimeMax)",
    replace: "limits.tokensMax ?? Infinity",
    caughtBy: /over its token budget|others could join/,
  },
  {
    fault: "a batch mixes keys",
    file: "batch-policy.ts",
    find: "      input.batchKey === head.batchKey &&\n",
    replace: "",
    caughtBy: /mixes keys/,
  },
  {
    fault: "a batch ignores its budget of padded tokens",
    file: "batch-policy.ts",
    find: "      paddedTokens <= budget.paddedTokensMax &&\n",
    replace: "",
    caughtBy: /over its token budget/,
  },
  {
    fault: "a batch ignores its token budget",
    file: "batch-policy.ts",
    find: "      tokens + input.tokens <= tokensMax &&\n",
    replace: "",
    caughtBy: /over its token budget/,
  },
  {
    fault: "Q30: neighbours of an input without a vector are refused",
    file: "scheduler.ts",
    find: "failedInputs.has(position)",
    replace: "failedInputs.size > 0",
    caughtBy: /not complete|innocent|did not fail alone/,
  },
  {
    fault: "Q09: a call is given up although it can be met",
    file: "lanes.ts",
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
    find: "while (partOf(queue, wanted) > 1)",
    replace: "while (queue.inputs + wanted.inputs > limits.queueInputsMax)",
    caughtBy: /more than its bounds/,
  },
  {
    fault: "Q25: Retry-After is not a number before the first batch",
    file: "retry-after.ts",
    find: "if (tokensPerMs === undefined) return RETRY_UNKNOWN_MS;",
    replace: "if (tokensPerMs === undefined) return Number.NaN;",
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
    find: 'this.#drain === "no" ? refusalAt(door, call, atMs) : "draining"',
    replace: "refusalAt(door, call, atMs)",
    caughtBy: /admitted while draining|queue_full|announced with calls left|not announced/,
  },
];
