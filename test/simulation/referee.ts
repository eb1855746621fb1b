import type {
  BatchId,
  CallId,
  InputRef,
  SchedulerCommand,
  SchedulerEvent,
  SchedulerLimits,
  SchedulerSnapshot,
  WorkerId,
} from "../../runtime/scheduler/events.ts";
import { type BookedCall, type BookedFlight, Books, law, tokensOf, Violation } from "./books.ts";
import { giveGrace, nextOverdueAtMs, overdueAtMs, phaseOf } from "./overdue-laws.ts";
import { checkEviction, checkFull, classOf, ShareLaws } from "./share-laws.ts";
import {
  ALONE,
  checkRetryAfter,
  type Due,
  isLastOfInstant,
  type RefereeOptions,
  type Rejection,
} from "./referee-options.ts";
import { checkSnapshot } from "./snapshot-laws.ts";
import { checkNothingIdle, checkStart } from "./start-laws.ts";

/** Follows events and commands in its own books and throws a Violation as soon as a command or the snapshot does not fit. */
export class Referee {
  readonly books: Books;
  readonly #limits: SchedulerLimits;
  readonly #shares = new ShareLaws();
  readonly #isPoison: (input: InputRef) => boolean;
  readonly #around: typeof ALONE;
  readonly #isPart: boolean;
  readonly #due = new Map<CallId, Due>();
  /** The call that the event submits, until it is refused or known to be admitted. */
  #entering: BookedCall | undefined;
  readonly #lastFirstStarts = new Map<string, number>();
  #armedAtMs = Infinity;
  #graceEndsAtMs = Infinity;
  #everReady = false;
  #draining = false;
  #drained = 0;
  #nowMs = 0;
  /** The most that a batch cut during this event can have cost. */
  #nextCostMax = 0;

  constructor({ limits, tenants, isPoison, around }: RefereeOptions) {
    this.books = new Books(tenants);
    this.#limits = limits;
    this.#isPoison = isPoison;
    this.#around = around ?? ALONE;
    this.#isPart = around !== undefined;
  }

  hasDied({ callId, index }: InputRef): boolean {
    return (this.books.open.get(callId)?.inputs[index]?.deaths ?? 0) > 0;
  }

  check(event: SchedulerEvent, commands: readonly SchedulerCommand[], snapshot: SchedulerSnapshot): void {
    this.begin(event);
    for (const command of commands) this.obey(command);
    this.end(event, isLastOfInstant(event));
    checkSnapshot([this.books], snapshot, this.#draining);
  }

  begin(event: SchedulerEvent): void {
    this.#nowMs = event.atMs;
    for (const { call } of this.books.open.values()) {
      if (call.deadlineAtMs <= event.atMs) this.#mustEnd(call.id, "deadline_exceeded");
    }
    this.#follow(event);
    this.#nextCostMax = 0;
  }

  end(event: SchedulerEvent, isLast: boolean): void {
    this.#checkAdmission();
    this.#checkNothingDue(event);
    this.#shares.settle(this.books);
    if (isLast && !this.#around.mayRest()) checkNothingIdle(this.books, this.#limits);
    this.#checkTimer();
  }

  checkEnded(): void {
    law(this.books.open.size === 0, "a call never settled");
    law(this.books.queue.length === 0 && this.books.flyingInputs === 0, "an input was left behind");
    law(this.#drained === 1, `drained was announced ${this.#drained} times`);
  }

  #follow(event: SchedulerEvent): void {
    switch (event.type) {
      case "call_submitted":
        this.#entering = this.books.enter(event.call, this.#isPoison);
        return;
      case "call_aborted":
        // One that expired in the same instant is refused first, and the abort finds nothing.
        if (!this.#due.has(event.callId)) this.books.settle(event.callId, "aborted");
        return;
      case "worker_ready":
        this.#everReady = true;
        this.books.workers.set(event.workerId, { id: event.workerId, permits: event.permits, flights: [] });
        return;
      case "worker_lost":
        return this.#loseWorker(event.workerId);
      case "batch_finished":
        return this.#finish(event.batchId, event.failedInputs);
      case "batch_failed": {
        const flight = this.books.endFlight(event.batchId, event.atMs);
        if (flight !== undefined) this.#die(flight, { alone: flight.inputs.length === 1, lostWorker: false });
        return;
      }
      case "permits_changed": {
        const worker = this.books.workers.get(event.workerId);
        if (worker !== undefined) worker.permits = event.permits;
        return;
      }
      case "timer_fired":
        giveGrace(this.books, this.#limits, { atMs: event.atMs, lateMs: event.atMs - this.#armedAtMs });
        this.#armedAtMs = Infinity;
        if (event.atMs >= this.#graceEndsAtMs) for (const id of this.books.open.keys()) this.#mustEnd(id, "draining");
        return;
      case "drain_requested":
        this.#draining = true;
        this.#graceEndsAtMs = Math.min(this.#graceEndsAtMs, event.atMs + event.graceMs);
        return;
      case "model_unloaded":
      case "model_failed":
    }
  }

  /** The first reason counts; what waits of the call must not run any more, whatever else the event does. */
  #mustEnd(callId: CallId, outcome: Due["outcome"]): void {
    const inputs = this.books.open.get(callId)?.inputs ?? [];
    const phase = phaseOf(this.books, inputs, this.#around.isComing());
    if (!this.#due.has(callId)) this.#due.set(callId, { outcome, phase });
    this.books.withdraw(callId);
  }

  #finish(batchId: BatchId, failedInputs: readonly number[]): void {
    const flight = this.books.endFlight(batchId, this.#nowMs);
    if (flight === undefined) return this.books.count("late answer");
    const tokens = tokensOf(flight.inputs);
    const durationMs = this.#nowMs - flight.runningFromMs;
    this.books.slowestMsPerToken = Math.max(this.books.slowestMsPerToken, durationMs / tokens);
    this.books.serviceTime.batchFinished({ atMs: this.#nowMs, durationMs, tokens });
    for (const [position, input] of flight.inputs.entries()) {
      const { call, inputs } = input.of;
      if (!this.books.isOpen(input)) continue;
      this.books.finish(input);
      if (failedInputs.includes(position)) this.#mustEnd(call.id, "poison_input");
      else if (inputs.every(({ place }) => place === "done")) this.#mustEnd(call.id, "complete");
    }
  }

  #loseWorker(workerId: WorkerId): void {
    const flights = this.books.workers.get(workerId)?.flights ?? [];
    this.books.workers.delete(workerId);
    for (const flight of flights) {
      this.#die(flight, { alone: flights.length === 1 && flight.inputs.length === 1, lostWorker: true });
    }
  }

  #die(flight: BookedFlight, death: { alone: boolean; lostWorker: boolean }): void {
    this.books.die(flight, death);
    const { inputsMax, attemptsMax } = this.#limits;
    const deathsMax = Math.max(Math.ceil(Math.log2(inputsMax)) + 2, attemptsMax);
    for (const { deaths } of flight.inputs) law(deaths <= deathsMax, `an input died ${deaths} times`);
    for (const id of this.#due.keys()) this.books.withdraw(id);
  }

  obey(command: SchedulerCommand): void {
    this.#nextCostMax = Math.max(this.#nextCostMax, this.books.nextCost(this.books.budget(this.#limits)));
    switch (command.type) {
      case "run_batch": {
        this.#checkAdmission();
        const worker = this.books.worker(command.workerId);
        const flightsLeft = this.#around.flightsLeft();
        checkStart(this.books, { worker, batch: command.batch, limits: this.#limits, flightsLeft });
        if ((this.#limits.lookAheadInputsMax ?? 0) === 0) this.#checkOrder(this.books.waitingOf(command.batch));
        return this.books.start(worker, command.batch, this.#nowMs);
      }
      case "complete_call":
        law(this.#due.get(command.callId)?.outcome === "complete", "a call was completed without all its vectors");
        return this.#settle(command.callId, "complete");
      case "reject_call":
        return this.#checkRejection(command);
      case "discard_worker": {
        const [oldest] = this.books.worker(command.workerId).flights;
        law(overdueAtMs(oldest, this.#limits) <= this.#nowMs, "a worker was discarded in time");
        this.books.count("discard");
        return this.#loseWorker(command.workerId);
      }
      case "set_timer":
        law(Number.isFinite(command.atMs), "the timer was set to no instant");
        this.#armedAtMs = command.atMs;
        return;
      case "announce_drained":
        law(this.#draining && (this.#isPart || this.books.open.size === 0), "drained was announced with calls left");
        this.#drained += 1;
        law(this.#drained === 1, "drained was announced twice");
        return;
      case "load_model":
      case "unload_model":
    }
  }

  #checkOrder(starting: ReturnType<Books["waitingOf"]>): void {
    this.#shares.start(this.books, starting);
    for (const input of starting) {
      if (input.deaths > 0) continue;
      const last = this.#lastFirstStarts.get(classOf(input)) ?? -1;
      law(input.arrival > last, "an input overtook an earlier one");
      this.#lastFirstStarts.set(classOf(input), input.arrival);
    }
  }

  #checkRejection(command: Rejection): void {
    const { callId, reason, retryAfterMs } = command;
    const booked = this.books.open.get(callId);
    if (booked === undefined) throw new Violation(`call ${callId} was refused (${reason}) but is not open`);
    const due = this.#due.get(callId);
    if (reason === "model_unavailable" || reason === "model_too_large") law(this.#isPart, "the only model was refused");
    else if (due !== undefined) law(reason === due.outcome, `a call was refused as ${reason}, not ${due.outcome}`);
    else if (booked === this.#entering && reason !== "deadline_exceeded") this.#checkRefusal(booked, reason);
    else if (reason === "tenant_queue_full") this.#checkEviction(booked);
    else this.#checkEarlyEnd(booked, command);
    const phase = reason === "deadline_exceeded" ? (due?.phase ?? phaseOf(this.books, booked.inputs)) : undefined;
    law(command.phase === phase, "a deadline names the wrong phase");
    checkRetryAfter(reason, retryAfterMs);
    const guilty = booked.inputs[command.inputIndex ?? -1]?.poison === true;
    law(guilty || !["poison_input", "worker_failed"].includes(reason), `an innocent call was refused as ${reason}`);
    this.#settle(callId, reason);
  }

  /** A call is refused at the door. */
  #checkRefusal(call: BookedCall, reason: string): void {
    if (reason === "draining") return law(this.#draining, "a call was refused as draining before the drain");
    law(!this.#fits(), "a call was refused with room in the queue");
    if (this.#everReady) checkFull(this.books, { call, limits: this.#limits, reason });
    else law(reason === "starting", `a new call was refused as ${reason}`);
  }

  #checkEviction(call: BookedCall): void {
    law(this.#entering !== undefined && !this.#fits(), "a call was evicted for nobody");
    checkEviction(this.books, call, this.#limits);
  }

  /** An admitted call ends for none of the reasons that the event alone explains. */
  #checkEarlyEnd({ call, inputs }: BookedCall, { reason, inputIndex }: Rejection): void {
    const input = inputs[inputIndex ?? -1];
    if (reason === "deadline_exceeded") {
      const expectedMsMax = this.#nextCostMax * this.books.slowestMsPerToken;
      const isHopeless = call.deadlineAtMs - this.#nowMs < expectedMsMax;
      law(isHopeless || call.deadlineAtMs <= this.#nowMs, "a call was refused before its deadline");
      return this.books.count("hopeless");
    }
    law(input?.suspect === true && input.deathInputs === 1, "an input was refused that did not fail alone");
    const patience = reason === "worker_failed" ? this.#limits.attemptsMax : 0;
    law((input?.deaths ?? 0) >= patience, "an input was given up too early");
  }

  /** Whether a submitted call may be in the queue; asked before anything starts. */
  #checkAdmission(): void {
    if (this.#entering === undefined) return;
    law(!this.#draining, "a call was admitted while draining");
    law(this.#entering.call.deadlineAtMs > this.#nowMs, "a call was admitted after its deadline");
    law(this.#fits(), "the queue holds more than its bounds");
    this.books.count("input", this.#entering.inputs.length);
    this.#entering = undefined;
  }

  #fits(): boolean {
    const { queueInputsMax, queueTokensMax } = this.#limits;
    return this.books.queue.length <= queueInputsMax && this.books.queueTokens <= queueTokensMax;
  }

  #settle(callId: CallId, outcome: string): void {
    this.#due.delete(callId);
    if (this.#entering?.call.id === callId) this.#entering = undefined;
    this.books.settle(callId, outcome);
  }

  #checkNothingDue(event: SchedulerEvent): void {
    for (const { outcome } of this.#due.values()) law(false, `a call did not settle (${outcome})`);
    if (this.#draining && !this.#isPart)
      law(this.#drained === (this.books.open.size === 0 ? 1 : 0), "drained was not announced");
    if (event.type !== "timer_fired") return;
    law(nextOverdueAtMs(this.books, this.#limits) > this.#nowMs, "an overdue worker was kept");
  }

  #checkTimer(): void {
    const graceEndsAtMs = this.#draining && this.#drained === 0 ? this.#graceEndsAtMs : Infinity;
    let neededAtMs = Math.min(graceEndsAtMs, nextOverdueAtMs(this.books, this.#limits));
    for (const { call } of this.books.open.values()) neededAtMs = Math.min(neededAtMs, call.deadlineAtMs);
    law(this.#armedAtMs <= neededAtMs, "no timer is set for what can expire");
  }
}
