import type { Call, CallId, Priority } from "./events.ts";

/** An admitted call, from admission until it settles. */
export interface LiveCall {
  readonly id: CallId;
  readonly model: string;
  readonly tenant: string;
  readonly priority: Priority;
  readonly deadlineAtMs: number;
  readonly inputs: readonly Input[];
  /** Sum over its inputs. */
  readonly tokens: number;
  /** Inputs in a running batch, and inputs that have their vector; the rest waits. */
  flying: number;
  done: number;
  settled: boolean;
}

/** Sum over the inputs of a call. */
export function tokensOf({ inputTokens }: Call): number {
  return inputTokens.reduce((sum, each) => sum + each, 0);
}

/** One input of an admitted call. */
export interface Input {
  readonly call: LiveCall;
  readonly index: number;
  readonly tokens: number;
  readonly batchKey: string;
  /** Place in the order of arrival over all inputs. */
  readonly arrival: number;
  /** Lost workers and failed batches it was part of. */
  deaths: number;
  /** How many inputs its batch may hold; finite for a suspect, which shares a batch with its like only. */
  shareMax: number;
  /** Inputs behind it that have started before it. */
  passedOver: number;
  /** Where it waits; undefined while it does not. */
  list: InputList | undefined;
  previous: Input | undefined;
  next: Input | undefined;
}

/** Waiting inputs in order of arrival; iterates from the first. */
export class InputList implements Iterable<Input> {
  first: Input | undefined;
  last: Input | undefined;

  append(input: Input): void {
    this.#insertBefore(undefined, input);
  }

  /** Puts inputs, themselves in order of arrival, at their places near the front: the walk is as long as what precedes them. */
  merge(inputs: readonly Input[]): void {
    let follower = this.first;
    for (const input of inputs) {
      while (follower !== undefined && follower.arrival < input.arrival) follower = follower.next;
      this.#insertBefore(follower, input);
    }
  }

  /** Takes an input out, O(1). */
  remove(input: Input): void {
    if (input.previous === undefined) this.first = input.next;
    else input.previous.next = input.next;
    if (input.next === undefined) this.last = input.previous;
    else input.next.previous = input.previous;
    // A settled call stays in the deadline heap for a while, and must not hold its old neighbours meanwhile.
    input.previous = undefined;
    input.next = undefined;
    input.list = undefined;
  }

  *[Symbol.iterator](): Generator<Input, void> {
    for (let input = this.first; input !== undefined; input = input.next) yield input;
  }

  #insertBefore(follower: Input | undefined, input: Input): void {
    const leader = follower === undefined ? this.last : follower.previous;
    input.previous = leader;
    input.next = follower;
    if (leader === undefined) this.first = input;
    else leader.next = input;
    if (follower === undefined) this.last = input;
    else follower.previous = input;
    input.list = this;
  }
}
