import type { Input, LiveCall } from "./input-list.ts";
import { Deadlines } from "./deadlines.ts";
import type { CallId, DeadlinePhase, SchedulerSnapshot } from "./events.ts";
import type { Flights } from "./flights.ts";

/** The calls that have not settled, and where their inputs are: what is neither flying nor done waits in the queue. */
export class LiveCalls {
  inputs = 0;
  flyingInputs = 0;
  doneInputs = 0;
  readonly #calls = new Map<CallId, LiveCall>();
  readonly #deadlines = new Deadlines();

  get count(): number {
    return this.#calls.size;
  }

  counts(): Pick<SchedulerSnapshot, "flyingInputs" | "doneInputs" | "liveInputs" | "liveCalls"> {
    const { flyingInputs, doneInputs, inputs: liveInputs, count: liveCalls } = this;
    return { flyingInputs, doneInputs, liveInputs, liveCalls };
  }

  add(call: LiveCall): void {
    this.#calls.set(call.id, call);
    this.#deadlines.add(call);
    this.inputs += call.inputs.length;
  }

  get(id: CallId): LiveCall | undefined {
    return this.#calls.get(id);
  }

  /** In order of arrival; a call may settle while it is visited. */
  all(): Iterable<LiveCall> {
    return this.#calls.values();
  }

  /** The call that expires first. */
  firstToExpire(): LiveCall | undefined {
    return this.#deadlines.first();
  }

  /** Takes the call out of every account. */
  settle(call: LiveCall): void {
    call.settled = true;
    this.#calls.delete(call.id);
    this.#deadlines.callSettled();
    this.inputs -= call.inputs.length;
    this.flyingInputs -= call.flying;
    this.doneInputs -= call.done;
  }

  /** These inputs now run. */
  takeOff(inputs: readonly Input[]): void {
    for (const { call } of inputs) call.flying += 1;
    this.flyingInputs += inputs.length;
  }

  /** One input of the call runs no longer. */
  land(call: LiveCall): void {
    call.flying -= 1;
    this.flyingInputs -= 1;
  }

  /** One input of the call has its vector. */
  finishInput(call: LiveCall): void {
    call.done += 1;
    this.doneInputs += 1;
  }
}

/** Where a call is. */
export function phaseOf(call: LiveCall, flights: Pick<Flights, "runs">): DeadlinePhase {
  if (call.flying + call.done === 0) return "queued";
  return call.done > 0 || flights.runs(call) ? "in_flight" : "batched";
}
