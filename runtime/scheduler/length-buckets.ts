import type { BatchCut, WaitingInput } from "./batch-policy.ts";
import type { BatchBudget } from "./events.ts";

/** A batch costs at most so many times its tokens: what is of too different a length is left to another batch. */
const PADDING_MAX = 1.15;

/**
 * Cuts the head and, from within the look-ahead, the inputs closest to it in length; among equal ones the first.
 *
 * An input is passed over by at most `lookAheadInputsMax` later ones, and the head is always taken, so nobody starves.
 */
export function cutByLength<T extends WaitingInput>(waiting: Iterable<T>, budget: BatchBudget): BatchCut<T> {
  const { inputs: reach, closed } = lookAhead(waiting, budget.lookAheadInputsMax ?? 0);
  const [head, ...others] = reach;
  if (head === undefined) throw new Error("A batch cannot be cut from an empty queue; a bug of the scheduler.");
  const inputsMax = Math.min(budget.inputsMax, head.shareMax);
  const { tokensMax = Infinity } = budget;
  // Both nearest first, and the sort is stable: among equal lengths the order of the queue holds.
  const shorter = others.filter(({ tokens }) => tokens < head.tokens).toSorted((a, b) => b.tokens - a.tokens);
  const longer = others.filter(({ tokens }) => tokens >= head.tokens).toSorted((a, b) => a.tokens - b.tokens);
  const bucket = new Set([head]);
  let sum = head.tokens;
  let longest = head.tokens;
  const paddingWith = (input: T | undefined): number => {
    if (input === undefined) return Infinity;
    const paddedTokens = Math.max(longest, input.tokens) * (bucket.size + 1);
    const fits = paddedTokens <= budget.paddedTokensMax && sum + input.tokens <= tokensMax;
    return fits ? paddedTokens / (sum + input.tokens) : Infinity;
  };
  let [nextShorter, nextLonger] = [0, 0];
  while (bucket.size < inputsMax) {
    const [ifShorter, ifLonger] = [paddingWith(shorter[nextShorter]), paddingWith(longer[nextLonger])];
    if (Math.min(ifShorter, ifLonger) > PADDING_MAX) break;
    const input = ifShorter < ifLonger ? shorter[nextShorter++] : longer[nextLonger++];
    if (input === undefined) break;
    bucket.add(input);
    sum += input.tokens;
    longest = Math.max(longest, input.tokens);
  }
  const isFilled = longest * (bucket.size + 1) > budget.paddedTokensMax || sum >= tokensMax;
  const full = closed || bucket.size === budget.inputsMax || isFilled;
  const inputs = reach.filter((input) => bucket.has(input));
  return { inputs, tokens: sum, paddedTokens: longest * bucket.size, full };
}

/** The inputs that may run next whichever of them are left out; `closed` when something waits behind them. */
function lookAhead<T extends WaitingInput>(
  waiting: Iterable<T>,
  passesMax: number,
): { readonly inputs: readonly T[]; readonly closed: boolean } {
  const inputs: T[] = [];
  // How many more may come along before one of those seen, were it left out, would be passed over too often.
  let allowance = Infinity;
  for (const input of waiting) {
    const head = inputs[0] ?? input;
    const isLike = input.batchKey === head.batchKey && input.shareMax === head.shareMax;
    if (allowance < 1 || !isLike) return { inputs, closed: true };
    // The head is never left out.
    if (inputs.length > 0) allowance = Math.min(allowance - 1, passesMax - input.passedOver);
    inputs.push(input);
  }
  return { inputs, closed: false };
}
