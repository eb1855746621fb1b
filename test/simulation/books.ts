import type { Batch, BatchBudget, BatchId, Call, CallId, InputRef, WorkerId } from "../../runtime/scheduler/events.ts";

/** A law of the scheduler that did not hold. */
export class Violation extends Error {}

export function law(holds: boolean, otherwise: string): void {
  if (!holds) throw new Violation(otherwise);
}

export interface BookedInput {
  readonly of: BookedCall;
  readonly index: number;
  readonly tokens: number;
  /** Place in the order of arrival over all inputs. */
  readonly arrival: number;
  readonly poison: boolean;
  place: "queued" | "flying" | "done";
  /** Lost workers and failed batches it was part of, and the size of the last such batch. */
  deaths: number;
  deathInputs: number;
  suspect: boolean;
}

export interface BookedCall {
  readonly call: Call;
  readonly inputs: readonly BookedInput[];
}

export interface BookedFlight {
  readonly id: BatchId;
  readonly inputs: readonly BookedInput[];
  /** When its worker came to it; Infinity while it waits behind another. */
  runningFromMs: number;
}

export interface BookedWorker {
  readonly id: WorkerId;
  readonly permits: number;
  /** In order of their start. */
  readonly flights: BookedFlight[];
}

/** A second set of books beside the scheduler, written from events and commands alone, in the simplest structures that can do. */
export class Books {
  /** Calls that have not settled. */
  readonly open: Map<CallId, BookedCall> = new Map<CallId, BookedCall>();
  /** Waiting inputs in order of arrival. */
  readonly queue: BookedInput[] = [];
  readonly workers: Map<WorkerId, BookedWorker> = new Map<WorkerId, BookedWorker>();
  /** How often each thing happened. */
  readonly counts: Map<string, number> = new Map<string, number>();
  flyingInputs = 0;
  doneInputs = 0;
  /** The most that any batch has taken for one padded token. */
  slowestMsPerToken = 0;
  #arrivals = 0;

  get queueTokens(): number {
    return this.queue.reduce((sum, { tokens }) => sum + tokens, 0);
  }

  count(what: string): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1);
  }

  worker(id: WorkerId): BookedWorker {
    const worker = this.workers.get(id);
    if (worker === undefined) throw new Violation(`worker ${id} is not ready`);
    return worker;
  }

  /** Books a call in at the tail of the queue. */
  enter(call: Call, isPoison: (input: InputRef) => boolean): BookedCall {
    const inputs: BookedInput[] = [];
    const of: BookedCall = { call, inputs };
    for (const [index, tokens] of call.inputTokens.entries()) {
      const poison = isPoison({ callId: call.id, index });
      const arrival = this.#arrivals++;
      inputs.push({ of, index, tokens, arrival, poison, place: "queued", deaths: 0, deathInputs: 0, suspect: false });
    }
    this.open.set(call.id, of);
    this.queue.push(...inputs);
    return of;
  }

  settle(callId: CallId, outcome: string): void {
    const booked = this.open.get(callId);
    if (booked === undefined) return;
    this.withdraw(callId);
    this.open.delete(callId);
    for (const { place } of booked.inputs) {
      if (place === "flying") this.flyingInputs -= 1;
      if (place === "done") this.doneInputs -= 1;
    }
    this.count(outcome);
  }

  /** Takes what waits of a call out of the queue. */
  withdraw(callId: CallId): void {
    for (let index = this.queue.length - 1; index >= 0; index -= 1) {
      if (this.queue[index]?.of.call.id === callId) this.queue.splice(index, 1);
    }
  }

  start(worker: BookedWorker, batch: Batch, atMs: number): void {
    const inputs = this.queue.splice(0, batch.inputs.length);
    worker.flights.push({ id: batch.id, inputs, runningFromMs: worker.flights.length === 0 ? atMs : Infinity });
    for (const input of inputs) this.#move(input, "flying");
  }

  /** Ends a flight; undefined for one that no ready worker has. */
  endFlight(batchId: BatchId, atMs: number): BookedFlight | undefined {
    for (const { flights } of this.workers.values()) {
      const index = flights.findIndex(({ id }) => id === batchId);
      if (index === -1) continue;
      const [flight] = flights.splice(index, 1);
      const [oldest] = flights;
      if (index === 0 && oldest !== undefined) oldest.runningFromMs = atMs;
      return flight;
    }
    return undefined;
  }

  /** The input has its vector. */
  finish(input: BookedInput): void {
    this.#move(input, "done");
  }

  /** Books a failed batch; its live inputs wait again, at their place in the order of arrival. */
  die(flight: BookedFlight, alone: boolean): void {
    for (const input of flight.inputs) {
      input.deaths += 1;
      input.deathInputs = flight.inputs.length;
      input.suspect ||= alone || input.deaths >= 2;
      if (!this.isOpen(input)) continue;
      this.#move(input, "queued");
      const follower = this.queue.findIndex(({ arrival }) => arrival > input.arrival);
      this.queue.splice(follower === -1 ? this.queue.length : follower, 0, input);
    }
    this.count("death");
  }

  /** At most what the next batch can cost. */
  nextCost({ inputsMax }: BatchBudget): number {
    return paddedTokensOf(this.queue.slice(0, inputsMax));
  }

  isOpen({ of }: BookedInput): boolean {
    return this.open.has(of.call.id);
  }

  /** The longest batch the head of the queue allows, and whether a later arrival could still join it. */
  largestBatch({ inputsMax, paddedTokensMax }: BatchBudget): { readonly count: number; readonly full: boolean } {
    const key = this.queue[0]?.of.call.batchKey;
    let longest = 0;
    let count = 0;
    for (const input of this.queue) {
      longest = Math.max(longest, input.tokens);
      const fits = count === 0 || longest * (count + 1) <= paddedTokensMax;
      if (count === inputsMax || input.of.call.batchKey !== key || input.suspect || !fits) return { count, full: true };
      count += 1;
    }
    return { count, full: count === inputsMax };
  }

  #move(input: BookedInput, place: BookedInput["place"]): void {
    if (input.place === "flying") this.flyingInputs -= 1;
    input.place = place;
    if (place === "flying") this.flyingInputs += 1;
    if (place === "done") this.doneInputs += 1;
  }
}

/** Longest × count. */
export function paddedTokensOf(inputs: readonly BookedInput[]): number {
  return Math.max(0, ...inputs.map(({ tokens }) => tokens)) * inputs.length;
}
