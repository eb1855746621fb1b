import type { Call } from "../../runtime/scheduler/events.ts";
import { type Input, InputList, type LiveCall } from "../../runtime/scheduler/input-list.ts";

/** The queue as it would be without tenants and priorities: one list in order of arrival. */
export class CallQueue implements Iterable<Input> {
  inputs = 0;
  tokens = 0;
  readonly holdings: ReadonlyMap<string, never> = new Map<string, never>();
  readonly #list = new InputList();
  #arrivals = 0;

  append({ id, deadlineAtMs, batchKey, inputTokens }: Call): LiveCall {
    const inputs: Input[] = [];
    const live: LiveCall = {
      id,
      model: "",
      tenant: "",
      priority: "interactive",
      deadlineAtMs,
      inputs,
      tokens: inputTokens.reduce((sum, each) => sum + each, 0),
      flying: 0,
      done: 0,
      settled: false,
    };
    for (const [index, tokens] of inputTokens.entries()) {
      const list = { list: undefined, previous: undefined, next: undefined };
      const state = { deaths: 0, shareMax: Infinity, passedOver: 0, ...list };
      const input: Input = { call: live, index, tokens, batchKey, arrival: this.#arrivals++, ...state };
      inputs.push(input);
      this.#list.append(input);
      this.#count(input, 1);
    }
    return live;
  }

  requeue(inputs: readonly Input[]): void {
    this.#list.merge(inputs);
    for (const input of inputs) this.#count(input, 1);
  }

  take(inputs: readonly Input[]): void {
    for (const input of inputs) this.remove(input);
  }

  remove(input: Input): void {
    this.#list.remove(input);
    this.#count(input, -1);
  }

  newestUnstarted(): undefined {
    return undefined;
  }

  [Symbol.iterator](): Iterator<Input> {
    return this.#list[Symbol.iterator]();
  }

  #count({ tokens }: Input, by: 1 | -1): void {
    this.inputs += by;
    this.tokens += by * tokens;
  }
}
