import type { BatchBudget } from "./events.ts";

/** What a policy sees of a waiting input. */
export interface WaitingInput {
  readonly batchKey: string;
  readonly tokens: number;
  /** How many inputs its batch may hold; finite for a suspect. */
  readonly shareMax: number;
}

/** How many inputs of the queue's head run next. A count, not a choice: no policy can break the order of arrival. */
export interface BatchCut {
  readonly count: number;
  /** Longest × count. */
  readonly paddedTokens: number;
  /** No later arrival could join: the batch is at its limit, or the next input does not fit. */
  readonly full: boolean;
}

/** Cuts the next batch from the waiting inputs, which come in queue order and are never empty. */
export type BatchPolicy = (waiting: Iterable<WaitingInput>, budget: BatchBudget) => BatchCut;

/**
 * Cuts the longest prefix that shares one batch key and fits the budget; at least one input, so a long one cannot
 * block the head. Suspects never share a batch with others.
 */
export const cutFromHead: BatchPolicy = (waiting, budget) => {
  let head: WaitingInput | undefined;
  let count = 0;
  let longest = 0;
  for (const input of waiting) {
    head ??= input;
    const paddedTokens = Math.max(longest, input.tokens) * (count + 1);
    const joins =
      count < Math.min(budget.inputsMax, head.shareMax) &&
      paddedTokens <= budget.paddedTokensMax &&
      input.batchKey === head.batchKey &&
      input.shareMax === head.shareMax;
    if (count > 0 && !joins) return { count, paddedTokens: longest * count, full: true };
    count += 1;
    longest = Math.max(longest, input.tokens);
  }
  return { count, paddedTokens: longest * count, full: count >= budget.inputsMax };
};
