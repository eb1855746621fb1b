import type { Call, CallId } from "./events.ts";

/** An admitted call, from admission until it settles. */
export interface LiveCall {
  readonly id: CallId;
  readonly deadlineAtMs: number;
  readonly inputs: readonly Input[];
  /** Inputs in a running batch, and inputs that have their vector; the rest waits. */
  flying: number;
  done: number;
  settled: boolean;
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
  waiting: boolean;
  previous: Input | undefined;
  next: Input | undefined;
}

/** The waiting inputs in order of arrival; iterates from the head. */
export class CallQueue implements Iterable<Input> {
  inputs = 0;
  tokens = 0;
  #head: Input | undefined;
  #tail: Input | undefined;
  #arrivals = 0;

  /** The call with all its inputs at the tail. */
  append(call: Call): LiveCall {
    const inputs: Input[] = [];
    const live: LiveCall = {
      id: call.id,
      deadlineAtMs: call.deadlineAtMs,
      inputs,
      flying: 0,
      done: 0,
      settled: false,
    };
    for (const [index, tokens] of call.inputTokens.entries()) {
      const input: Input = {
        call: live,
        index,
        tokens,
        batchKey: call.batchKey,
        arrival: this.#arrivals++,
        deaths: 0,
        shareMax: Infinity,
        waiting: false,
        previous: undefined,
        next: undefined,
      };
      inputs.push(input);
      this.#insertBefore(undefined, input);
    }
    return live;
  }

  /**
   * Puts the inputs of one batch, in the order they had there, back at the head, among those that came back before.
   * Whatever never started arrived later than all of these, so the walk is short.
   */
  requeue(inputs: readonly Input[]): void {
    let follower = this.#head;
    for (const input of inputs) {
      while (follower !== undefined && follower.arrival < input.arrival) follower = follower.next;
      this.#insertBefore(follower, input);
    }
  }

  /** Removes and returns the first `count` inputs. */
  take(count: number): Input[] {
    const taken: Input[] = [];
    for (const input of this) {
      if (taken.length === count) break;
      taken.push(input);
    }
    for (const input of taken) this.remove(input);
    return taken;
  }

  /** Takes a waiting input out, O(1). */
  remove(input: Input): void {
    if (input.previous === undefined) this.#head = input.next;
    else input.previous.next = input.next;
    if (input.next === undefined) this.#tail = input.previous;
    else input.next.previous = input.previous;
    // A settled call stays in the deadline heap for a while, and must not hold its old neighbours meanwhile.
    input.previous = undefined;
    input.next = undefined;
    input.waiting = false;
    this.inputs -= 1;
    this.tokens -= input.tokens;
  }

  *[Symbol.iterator](): Generator<Input, void> {
    for (let input = this.#head; input !== undefined; input = input.next) yield input;
  }

  #insertBefore(follower: Input | undefined, input: Input): void {
    const leader = follower === undefined ? this.#tail : follower.previous;
    input.previous = leader;
    input.next = follower;
    if (leader === undefined) this.#head = input;
    else leader.next = input;
    if (follower === undefined) this.#tail = input;
    else follower.previous = input;
    input.waiting = true;
    this.inputs += 1;
    this.tokens += input.tokens;
  }
}
