import type { Call } from "./events.ts";
import { FairLane } from "./fair-lane.ts";
import { type Input, InputList, type LiveCall, tokensOf } from "./input-list.ts";

/** Share of the tokens that bulk inputs get while interactive ones wait as well. */
const BULK_SHARE = 0.1;

/** What bulk inputs earn with each interactive token that goes before them. */
const BULK_CREDIT_PER_TOKEN = BULK_SHARE / (1 - BULK_SHARE);

/** What waits of one tenant. */
export interface Holding {
  inputs: number;
  tokens: number;
}

/**
 * The waiting inputs; iterates in the order in which they would start. First come those that died in a batch, then
 * interactive before bulk, each shared by tenants. With one tenant and one priority that is the order of arrival.
 */
export class CallQueue implements Iterable<Input> {
  inputs = 0;
  tokens = 0;
  readonly #again = new InputList();
  readonly #lanes = { interactive: new FairLane(), bulk: new FairLane() };
  readonly #holdings = new Map<string, Holding>();
  #bulkCreditTokens = 0;
  #arrivals = 0;

  /** Tenants with waiting inputs, and what they hold. */
  get holdings(): ReadonlyMap<string, Readonly<Holding>> {
    return this.#holdings;
  }

  /** The call with all its inputs behind those of its tenant. */
  append(call: Call): LiveCall {
    const inputs: Input[] = [];
    const { id, deadlineAtMs, batchKey, model = "", tenant = "", priority = "interactive" } = call;
    const tokens = tokensOf(call);
    const share = { model, tenant, priority };
    const live: LiveCall = { id, ...share, deadlineAtMs, inputs, tokens, flying: 0, done: 0, settled: false };
    for (const [index, each] of call.inputTokens.entries()) {
      const input: Input = {
        call: live,
        index,
        tokens: each,
        batchKey,
        arrival: this.#arrivals++,
        deaths: 0,
        shareMax: Infinity,
        passedOver: 0,
        list: undefined,
        previous: undefined,
        next: undefined,
      };
      inputs.push(input);
      this.#lanes[priority].append(input);
      this.#count(input, 1);
    }
    return live;
  }

  /** Puts the inputs of one batch, in the order they had there, back at the head, among those that came back before. */
  requeue(inputs: readonly Input[]): void {
    this.#again.merge(inputs.toSorted((a, b) => a.arrival - b.arrival));
    for (const input of inputs) this.#count(input, 1);
  }

  /** Removes waiting inputs, in queue order, because they start now; those they pass over remember it. */
  take(inputs: readonly Input[]): void {
    const starting = new Set(inputs);
    for (const input of this) {
      if (starting.size === 0) break;
      if (!starting.delete(input)) input.passedOver += starting.size;
    }
    for (const input of inputs) {
      if (input.list === this.#again) this.#again.remove(input);
      else this.#startFromLane(input);
      this.#count(input, -1);
    }
  }

  /** Takes a waiting input out. */
  remove(input: Input): void {
    if (input.list === this.#again) this.#again.remove(input);
    else this.#lanes[input.call.priority].remove(input);
    this.#count(input, -1);
  }

  /** The newest call of a tenant of which nothing has started. */
  newestUnstarted(tenant: string): LiveCall | undefined {
    for (const lane of [this.#lanes.bulk, this.#lanes.interactive]) {
      for (let input = lane.lastOf(tenant); input !== undefined; input = input.previous) {
        const { call } = input;
        if (call.inputs.every(({ list, deaths }) => list !== undefined && deaths === 0)) return call;
      }
    }
    return undefined;
  }

  *[Symbol.iterator](): Generator<Input, void> {
    yield* this.#again;
    const interactive = this.#lanes.interactive[Symbol.iterator]();
    const bulk = this.#lanes.bulk[Symbol.iterator]();
    let first = interactive.next().value;
    let second = bulk.next().value;
    let creditTokens = this.#bulkCreditTokens;
    for (;;) {
      const isBulk = second !== undefined && (first === undefined || creditTokens >= second.tokens);
      const input = isBulk ? second : first;
      if (input === undefined) return;
      yield input;
      if (first !== undefined && second !== undefined) creditTokens += creditOf(input);
      if (isBulk) second = bulk.next().value;
      else first = interactive.next().value;
    }
  }

  #startFromLane(input: Input): void {
    const { interactive, bulk } = this.#lanes;
    if (!interactive.isEmpty && !bulk.isEmpty) this.#bulkCreditTokens += creditOf(input);
    this.#lanes[input.call.priority].start(input);
    if (bulk.isEmpty) this.#bulkCreditTokens = 0;
  }

  #count({ tokens, call: { tenant } }: Input, by: 1 | -1): void {
    const holding = this.#holdings.get(tenant) ?? { inputs: 0, tokens: 0 };
    holding.inputs += by;
    holding.tokens += by * tokens;
    if (holding.inputs === 0) this.#holdings.delete(tenant);
    else this.#holdings.set(tenant, holding);
    this.inputs += by;
    this.tokens += by * tokens;
  }
}

/** What the start of an input changes for bulk inputs, where both priorities wait. */
function creditOf({ tokens, call }: Input): number {
  return call.priority === "bulk" ? -tokens : tokens * BULK_CREDIT_PER_TOKEN;
}
