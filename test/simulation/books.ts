import type {
  Batch,
  BatchBudget,
  BatchId,
  Call,
  CallId,
  InputRef,
  SchedulerLimits,
  WorkerId,
} from "../../runtime/scheduler/events.ts";
import { ServiceTime } from "../../runtime/scheduler/service-time.ts";

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
  /** How many inputs its batch may hold, once it is a suspect. */
  shareMax: number;
  /** Inputs behind it that have started before it. */
  passedOver: number;
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
  /** It is not overdue before; told once a timer was late. */
  graceEndsAtMs: number;
}

export interface BookedWorker {
  readonly id: WorkerId;
  permits: number;
  /** In order of their start. */
  readonly flights: BookedFlight[];
}

/** A second set of books beside the scheduler, written from events and commands alone, in the simplest structures that can do. */
export class Books {
  /** Calls that have not settled. */
  readonly open: Map<CallId, BookedCall> = new Map<CallId, BookedCall>();
  /** Waiting inputs in order of arrival, those that died in a batch before all others: with one tenant, the order of start. */
  readonly queue: BookedInput[] = [];
  readonly workers: Map<WorkerId, BookedWorker> = new Map<WorkerId, BookedWorker>();
  /** How often each thing happened. */
  readonly counts: Map<string, number> = new Map<string, number>();
  /** That the world has. */
  readonly tenants: number;
  flyingInputs = 0;
  doneInputs = 0;
  /** The most that any batch has taken for one token. */
  slowestMsPerToken = 0;
  /** Has a table test of its own, and is told here what the books say. */
  readonly serviceTime: ServiceTime = new ServiceTime();
  #arrivals = 0;

  constructor(tenants: number) {
    this.tenants = tenants;
  }

  get queueTokens(): number {
    return this.queue.reduce((sum, { tokens }) => sum + tokens, 0);
  }

  count(what: string, times = 1): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + times);
  }

  worker(id: WorkerId): BookedWorker {
    const worker = this.workers.get(id);
    if (worker === undefined) throw new Violation(`worker ${id} is not ready`);
    return worker;
  }

  /** Books a call in at the tail of the queue. */
  enter(call: Call, isPoison: (input: InputRef) => boolean): BookedCall {
    this.count("call");
    const inputs: BookedInput[] = [];
    const of: BookedCall = { call, inputs };
    for (const [index, tokens] of call.inputTokens.entries()) {
      const poison = isPoison({ callId: call.id, index });
      const arrival = this.#arrivals++;
      inputs.push({
        of,
        index,
        tokens,
        arrival,
        poison,
        place: "queued",
        deaths: 0,
        deathInputs: 0,
        suspect: false,
        shareMax: Infinity,
        passedOver: 0,
      });
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

  /** The waiting inputs that a batch names, in its order; those that do not wait are missing. */
  waitingOf(batch: Batch): readonly BookedInput[] {
    return batch.inputs.flatMap(({ callId, index }) => {
      const input = this.open.get(callId)?.inputs[index];
      return input?.place === "queued" ? [input] : [];
    });
  }

  start(worker: BookedWorker, batch: Batch, atMs: number): void {
    const inputs = this.waitingOf(batch);
    const places = inputs.map((input) => this.queue.indexOf(input));
    for (const [place, input] of this.queue.slice(0, Math.max(...places)).entries()) {
      if (places.includes(place)) continue;
      input.passedOver += places.filter((other) => other > place).length;
    }
    for (const input of inputs) this.queue.splice(this.queue.indexOf(input), 1);
    const runningFromMs = worker.flights.length === 0 ? atMs : Infinity;
    worker.flights.push({ id: batch.id, inputs, runningFromMs, graceEndsAtMs: -Infinity });
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
  die(flight: BookedFlight, { alone, lostWorker }: { alone: boolean; lostWorker: boolean }): void {
    for (const input of flight.inputs) {
      input.deaths += 1;
      input.deathInputs = flight.inputs.length;
      input.suspect ||= alone || input.deaths >= 2;
      input.shareMax = lostWorker ? 1 : Math.ceil(flight.inputs.length / 2);
      if (!this.isOpen(input)) continue;
      this.#move(input, "queued");
      const follower = this.queue.findIndex(({ arrival, deaths }) => deaths === 0 || arrival > input.arrival);
      this.queue.splice(follower === -1 ? this.queue.length : follower, 0, input);
    }
    this.count("death");
  }

  /** At most what the next batch can cost. */
  nextCost({ inputsMax, paddedTokensMax, tokensMax = Infinity }: BatchBudget): number {
    return Math.max(
      tokensOf(this.tenants > 1 ? this.#longest() : this.queue.slice(0, 1)),
      Math.min(paddedTokensMax, tokensMax, this.#costliest(inputsMax)),
    );
  }

  #costliest(inputsMax: number): number {
    return tokensOf(this.#longest()) * inputsMax;
  }

  #longest(): readonly BookedInput[] {
    return this.queue.toSorted((a, b) => b.tokens - a.tokens).slice(0, 1);
  }

  /** The limits of the next batch: no more than should take the target time. */
  budget(limits: SchedulerLimits): BatchBudget {
    const inTimeMax = this.serviceTime.tokensWithin(limits.batchTargetMs ?? 250);
    return { ...limits, tokensMax: Math.min(limits.tokensMax ?? Infinity, inTimeMax) };
  }

  /** Inputs from the head on that may be in the next batch, whichever of them are left out of it. */
  reach({ lookAheadInputsMax = 0 }: BatchBudget): number {
    const [head] = this.queue;
    let count = 0;
    for (const input of this.queue) {
      const passed = this.queue.slice(1, count);
      const isLike = input.of.call.batchKey === head?.of.call.batchKey && input.suspect === head.suspect;
      // Were it to start without those before it, each of them would be passed over by all that follow.
      if (!isLike || passed.some(({ passedOver }, at) => passedOver + count - at - 1 > lookAheadInputsMax)) break;
      count += 1;
    }
    return count;
  }

  /** What each tenant has waiting, as the greater of its parts of the queue's two bounds. */
  partsOfQueue({ queueInputsMax, queueTokensMax }: SchedulerLimits): ReadonlyMap<string, number> {
    const parts = new Map<string, number>();
    for (const tenant of new Set(this.queue.map(({ of }) => tenantOf(of)))) {
      const inputs = this.queue.filter(({ of }) => tenantOf(of) === tenant);
      const tokens = inputs.reduce((sum, input) => sum + input.tokens, 0);
      parts.set(tenant, Math.max(inputs.length / queueInputsMax, tokens / queueTokensMax));
    }
    return parts;
  }

  isOpen({ of }: BookedInput): boolean {
    return this.open.has(of.call.id);
  }

  /** The longest batch the head of the queue allows, and whether a later arrival could still join it. */
  largestBatch(budget: BatchBudget): { readonly count: number; readonly full: boolean } {
    const { inputsMax, paddedTokensMax, tokensMax = Infinity } = budget;
    const key = this.queue[0]?.of.call.batchKey;
    let tokens = 0;
    let longest = 0;
    let count = 0;
    for (const input of this.queue) {
      tokens += input.tokens;
      longest = Math.max(longest, input.tokens);
      const fits = count === 0 || (longest * (count + 1) <= paddedTokensMax && tokens <= tokensMax);
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

export function tenantOf({ call }: BookedCall): string {
  return call.tenant ?? "";
}

/** What a batch costs. */
export function tokensOf(inputs: readonly BookedInput[]): number {
  return inputs.reduce((sum, { tokens }) => sum + tokens, 0);
}

/** Longest × count. */
export function paddedTokensOf(inputs: readonly BookedInput[]): number {
  return Math.max(0, ...inputs.map(({ tokens }) => tokens)) * inputs.length;
}
