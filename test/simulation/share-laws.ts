import { type BookedCall, type BookedInput, type Books, law, tenantOf } from "./books.ts";
import type { SchedulerLimits } from "../../runtime/scheduler/events.ts";

/** The longest input of any world. */
const TOKENS_MAX = 256;

/** Inputs that arrive in order of start: those of one tenant and priority. */
export function classOf({ of }: BookedInput): string {
  return `${priorityOf(of)} ${tenantOf(of)}`;
}

/** The order of start where there are several tenants: within each of them, and what died before what did not. */
export function checkClasses(books: Books, inputs: readonly BookedInput[]): void {
  const firstLive = inputs.findIndex(({ deaths }) => deaths === 0);
  const dead = firstLive === -1 ? inputs : inputs.slice(0, firstLive);
  const live = inputs.slice(dead.length);
  const isPrefix = (of: readonly BookedInput[], part: readonly BookedInput[]): boolean =>
    part.every((input, place) => of[place] === input);
  const waitingDead = books.queue.filter(({ deaths }) => deaths > 0);
  law(isPrefix(waitingDead, dead), "what died in a batch is not the head of the queue");
  law(live.length === 0 || dead.length === waitingDead.length, "what died in a batch is not the head of the queue");
  for (const name of new Set(live.map(classOf))) {
    const waiting = books.queue.filter((input) => input.deaths === 0 && classOf(input) === name);
    const starting = live.filter((input) => classOf(input) === name);
    law(isPrefix(waiting, starting), "a batch is not the head of the queue of its tenants");
  }
}

/** How far apart two rivals are, in tokens started since both have been waiting. */
export class ShareLaws {
  readonly #ahead = new Map<string, number>();

  /** A batch is about to start. */
  start(books: Books, inputs: readonly BookedInput[]): void {
    const waiting = new Map<string, number>();
    const add = (input: BookedInput, by: number): void => {
      for (const name of [classOf(input), priorityOf(input.of)]) waiting.set(name, (waiting.get(name) ?? 0) + by);
    };
    for (const input of books.queue) if (input.deaths === 0) add(input, 1);
    for (const input of inputs) {
      if (input.deaths > 0) continue;
      this.#forgetIdle(waiting);
      this.#startOne(input, waiting);
      add(input, -1);
    }
    this.#forgetIdle(waiting);
  }

  /** Tenants that have stopped waiting are no rivals any more. */
  settle(books: Books): void {
    const waiting = new Map<string, number>();
    for (const input of books.queue) {
      if (input.deaths > 0) continue;
      waiting.set(classOf(input), 1);
      waiting.set(priorityOf(input.of), 1);
    }
    this.#forgetIdle(waiting);
  }

  #startOne(input: BookedInput, waiting: ReadonlyMap<string, number>): void {
    const own = classOf(input);
    const priority = priorityOf(input.of);
    for (const [rival, count] of waiting) {
      if (count === 0 || rival === own || !rival.startsWith(`${priority} `)) continue;
      const pair = [own, rival].toSorted().join("/");
      const ahead = (this.#ahead.get(pair) ?? 0) + (pair.startsWith(`${own}/`) ? input.tokens : -input.tokens);
      law(Math.abs(ahead) <= 2 * TOKENS_MAX, "a tenant had more than its share");
      this.#ahead.set(pair, ahead);
    }
    if ((waiting.get("interactive") ?? 0) === 0 || (waiting.get("bulk") ?? 0) === 0) return;
    const earned = priority === "bulk" ? -input.tokens : input.tokens / 9;
    const ahead = (this.#ahead.get("interactive/bulk") ?? 0) + earned;
    law(ahead <= 1.2 * TOKENS_MAX, "bulk inputs starve");
    law(ahead >= -1.2 * TOKENS_MAX, "bulk inputs had more than a tenth");
    this.#ahead.set("interactive/bulk", ahead);
  }

  #forgetIdle(waiting: ReadonlyMap<string, number>): void {
    for (const pair of this.#ahead.keys()) {
      if (pair.split("/").some((name) => (waiting.get(name) ?? 0) === 0)) this.#ahead.delete(pair);
    }
  }
}

/** A call is refused at the door because the queue is full: with the call in the books, it does not fit. */
export function checkFull(books: Books, { call: entering, limits, reason }: Refusal): void {
  const parts = books.partsOfQueue(limits);
  const isOverShare = (parts.get(tenantOf(entering)) ?? 0) > 1 / parts.size;
  law(parts.size === 1 || isOverShare === (reason === "tenant_queue_full"), `a new call was refused as ${reason}`);
  law(parts.size > 1 || reason === "queue_full", `the only tenant was refused as ${reason}`);
  if (parts.size === 1 || reason === "tenant_queue_full") return;
  const held = [...books.open.values()].filter(
    (call) => call !== entering && (parts.get(tenantOf(call)) ?? 0) > 1 / parts.size,
  );
  law(!held.some(isUnstarted), "a call within its tenant's share was refused while another could make room");
}

/** A waiting call ends to make room for another's. */
export function checkEviction(books: Books, evicted: BookedCall, limits: SchedulerLimits): void {
  const parts = books.partsOfQueue(limits);
  law(isUnstarted(evicted), "a call was evicted that had started");
  law((parts.get(tenantOf(evicted)) ?? 0) > 1 / parts.size, "a call was evicted of a tenant within its share");
  books.count("evicted");
}

interface Refusal {
  readonly call: BookedCall;
  readonly limits: SchedulerLimits;
  readonly reason: string;
}

function isUnstarted({ inputs }: BookedCall): boolean {
  return inputs.every(({ place, deaths }) => place === "queued" && deaths === 0);
}

function priorityOf({ call }: BookedCall): string {
  return call.priority ?? "interactive";
}
