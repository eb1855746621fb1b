import type { BatchBudget } from "./events.ts";
import { cutByLength } from "./length-buckets.ts";

/** What a policy sees of a waiting input. */
export interface WaitingInput {
  readonly batchKey: string;
  readonly tokens: number;
  /** How many inputs its batch may hold; finite for a suspect. */
  readonly shareMax: number;
  /** Inputs behind it that have started before it. */
  readonly passedOver: number;
}

/** What runs next, in queue order; the head is always among it. */
export interface BatchCut<T extends WaitingInput> {
  readonly inputs: readonly T[];
  /** Sum over its inputs. */
  readonly tokens: number;
  /** Longest × count. */
  readonly paddedTokens: number;
  /** No later arrival could join: the batch is at its limit, or what waits behind it is out of reach. */
  readonly full: boolean;
}

/** Cuts the next batch from the waiting inputs, which come in queue order and are never empty. */
export type BatchPolicy = <T extends WaitingInput>(waiting: Iterable<T>, budget: BatchBudget) => BatchCut<T>;

/**
 * Cuts a batch that shares one batch key and fits the budget; at least one input, so a long one cannot block the head.
 * Suspects never share a batch with others.
 *
 * Without a look-ahead it is the longest prefix: strict order of arrival. With one, inputs of similar length from
 * within its reach.
 */
export const cutFromHead: BatchPolicy = (waiting, budget) =>
  (budget.lookAheadInputsMax ?? 0) > 0 ? cutByLength(waiting, budget) : cutPrefix(waiting, budget);

function cutPrefix<T extends WaitingInput>(waiting: Iterable<T>, budget: BatchBudget): BatchCut<T> {
  const { tokensMax = Infinity } = budget;
  const inputs: T[] = [];
  let tokens = 0;
  let longest = 0;
  for (const input of waiting) {
    const head = inputs[0] ?? input;
    const count = inputs.length;
    const paddedTokens = Math.max(longest, input.tokens) * (count + 1);
    const joins =
      count < Math.min(budget.inputsMax, head.shareMax) &&
      paddedTokens <= budget.paddedTokensMax &&
      tokens + input.tokens <= tokensMax &&
      input.batchKey === head.batchKey &&
      input.shareMax === head.shareMax;
    if (count > 0 && !joins) return { inputs, tokens, paddedTokens: longest * count, full: true };
    inputs.push(input);
    tokens += input.tokens;
    longest = Math.max(longest, input.tokens);
  }
  return { inputs, tokens, paddedTokens: longest * inputs.length, full: inputs.length >= budget.inputsMax };
}
