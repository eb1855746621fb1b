import { refusalAt } from "./admission.ts";
import { nextBudget } from "./batch-budget.ts";
import type { BatchCut, BatchPolicy } from "./batch-policy.ts";
import { CallQueue } from "./call-queue.ts";
import type {
  BatchBudget,
  BatchId,
  Call,
  RejectReason,
  Scheduler,
  SchedulerCommand,
  SchedulerEvent,
  SchedulerLimits,
  SchedulerSnapshot,
  WorkerId,
} from "./events.ts";
import { Flights } from "./flights.ts";
import { type Input, type LiveCall, tokensOf } from "./input-list.ts";
import { LiveCalls, phaseOf } from "./live-calls.ts";
import { Permits, type Worker } from "./permits.ts";
import { AwayCalls, retryAfterMs } from "./retry-after.ts";
import { ServiceTime } from "./service-time.ts";
import { type Death, isSuspect, Suspects } from "./suspects.ts";

/** A scheduler with an empty queue and no workers; `random` gives numbers from [0, 1). */
export function createScheduler(limits: SchedulerLimits, policy: BatchPolicy, random: () => number): Scheduler {
  return new QueueScheduler(limits, policy, random);
}

type RejectDetails = Pick<Extract<SchedulerCommand, { readonly type: "reject_call" }>, "inputIndex" | "phase">;

class QueueScheduler implements Scheduler {
  readonly #limits: SchedulerLimits;
  readonly #policy: BatchPolicy;
  readonly #random: () => number;
  readonly #calls = new LiveCalls();
  readonly #queue = new CallQueue();
  readonly #permits = new Permits();
  readonly #flights: Flights;
  readonly #suspects: Suspects;
  readonly #serviceTime = new ServiceTime();
  readonly #away = new AwayCalls();
  #nowMs = 0;
  #everReady = false;
  #graceEndsAtMs = Infinity;
  #drain: "no" | "requested" | "announced" = "no";
  #timerAtMs = Infinity;
  #commands: SchedulerCommand[] = [];

  constructor(limits: SchedulerLimits, policy: BatchPolicy, random: () => number) {
    this.#limits = limits;
    this.#policy = policy;
    this.#random = random;
    this.#flights = new Flights(limits.batchTimeoutMs);
    this.#suspects = new Suspects(limits.attemptsMax);
  }

  handle(event: SchedulerEvent): readonly SchedulerCommand[] {
    const commands: SchedulerCommand[] = [];
    this.#commands = commands;
    this.#nowMs = event.atMs;
    // First of all, since a timer may be late: whatever the event brings, it comes too late for these.
    this.#rejectExpired(event.atMs);
    this.#apply(event);
    const isLast = event.type !== "call_submitted" || event.moreFollow !== true;
    if (isLast) this.#handOutPermits(event.atMs);
    this.#announceDrained();
    this.#armTimer();
    return commands;
  }

  snapshot(): SchedulerSnapshot {
    return {
      queueInputs: this.#queue.inputs,
      flyingInputs: this.#calls.flyingInputs,
      doneInputs: this.#calls.doneInputs,
      liveInputs: this.#calls.inputs,
      queueTokens: this.#queue.tokens,
      liveCalls: this.#calls.count,
      freePermits: this.#permits.free,
      flights: this.#flights.count,
      readyWorkers: this.#permits.workers,
      draining: this.#drain !== "no",
    };
  }

  #apply(event: SchedulerEvent): void {
    switch (event.type) {
      case "call_submitted":
        return this.#submit(event.call, event.atMs);
      case "call_aborted":
        return this.#abort(event.callId);
      case "worker_ready":
        this.#everReady = true;
        return this.#permits.workerReady(event.workerId, event.permits);
      case "worker_lost":
        return this.#loseWorker(event.workerId);
      case "permits_changed":
        return this.#permits.change(event.workerId, event.permits);
      case "batch_finished":
        return this.#finishBatch(event.batchId, new Set(event.failedInputs), event.atMs);
      case "batch_failed":
        return this.#failBatch(event.batchId, event.atMs);
      case "timer_fired":
        return this.#expireRest(event.atMs);
      case "drain_requested":
        this.#graceEndsAtMs = Math.min(this.#graceEndsAtMs, event.atMs + event.graceMs);
        if (this.#drain === "no") this.#drain = "requested";
        return;
    }
  }

  #submit(call: Call, atMs: number): void {
    if (this.#calls.get(call.id) !== undefined)
      throw new Error(`Call ${call.id} was submitted twice; a bug of the dispatcher.`);
    const reason = this.#refusal(call, atMs);
    const phase: RejectDetails = reason === "deadline_exceeded" ? { phase: "queued" } : {};
    if (reason === undefined) this.#calls.add(this.#queue.append(call));
    else this.#refuse({ id: call.id, tokens: tokensOf(call) }, reason, phase);
  }

  #refusal(call: Call, atMs: number): RejectReason | undefined {
    if (this.#drain !== "no") return "draining";
    if (call.deadlineAtMs <= atMs) return "deadline_exceeded";
    const evict = (victim: LiveCall): void => this.#reject(victim, "tenant_queue_full", {});
    const refusal = refusalAt({ queue: this.#queue, limits: this.#limits, evict }, call);
    return refusal === undefined || this.#everReady ? refusal : "starting";
  }

  #abort(callId: Call["id"]): void {
    const call = this.#calls.get(callId);
    if (call !== undefined) this.#settle(call);
  }

  #finishBatch(batchId: BatchId, failedInputs: ReadonlySet<number>, atMs: number): void {
    const flight = this.#flights.end(batchId, atMs);
    // A late or doubled answer: its permit is gone or free already, so counting it would double the permit.
    if (flight === undefined) return;
    this.#permits.release(flight.workerId);
    this.#suspects.batchFinished();
    if (flight.runningFromMs !== undefined) {
      const tokens = flight.inputs.reduce((sum, input) => sum + input.tokens, 0);
      const { paddedTokens, runningFromMs } = flight;
      this.#serviceTime.batchFinished({ atMs, durationMs: atMs - runningFromMs, tokens, paddedTokens });
    }
    for (const [position, input] of flight.inputs.entries()) {
      const { call } = input;
      if (call.settled) continue;
      this.#calls.land(call);
      if (failedInputs.has(position)) this.#reject(call, "poison_input", { inputIndex: input.index });
      else this.#finishInput(call);
    }
  }

  #finishInput(call: LiveCall): void {
    this.#calls.finishInput(call);
    if (call.done < call.inputs.length) return;
    this.#settle(call);
    this.#commands.push({ type: "complete_call", callId: call.id });
  }

  #failBatch(batchId: BatchId, atMs: number): void {
    const flight = this.#flights.end(batchId, atMs);
    if (flight === undefined) return;
    this.#permits.release(flight.workerId);
    this.#retry(flight.inputs, { alone: flight.inputs.length === 1, lostWorker: false });
  }

  #loseWorker(workerId: WorkerId): void {
    this.#permits.workerLost(workerId);
    const flights = this.#flights.endAllOf(workerId);
    for (const { inputs } of flights) {
      this.#retry(inputs, { alone: flights.length === 1 && inputs.length === 1, lostWorker: true });
    }
  }

  /** Puts the inputs of a batch that died back at the head, except those that must be refused. */
  #retry(inputs: readonly Input[], death: Omit<Death, "batchInputs">): void {
    const again: Input[] = [];
    for (const input of inputs) {
      if (input.call.settled) continue;
      this.#calls.land(input.call);
      const refusal = this.#suspects.judge(input, { ...death, batchInputs: inputs.length });
      if (refusal === undefined) again.push(input);
      else this.#reject(input.call, refusal, { inputIndex: input.index });
    }
    this.#queue.requeue(again);
  }

  #rejectExpired(atMs: number): void {
    for (;;) {
      const call = this.#calls.firstToExpire();
      if (call === undefined || call.deadlineAtMs > atMs) return;
      this.#reject(call, "deadline_exceeded", { phase: phaseOf(call) });
    }
  }

  #expireRest(atMs: number): void {
    const lateMs = atMs - this.#timerAtMs;
    this.#timerAtMs = Infinity;
    if (atMs >= this.#graceEndsAtMs) for (const call of this.#calls.all()) this.#reject(call, "draining", {});
    for (const workerId of this.#flights.overdueWorkers(atMs, lateMs)) {
      this.#commands.push({ type: "discard_worker", workerId });
      this.#loseWorker(workerId);
    }
  }

  #handOutPermits(atMs: number): void {
    for (;;) {
      const worker = this.#permits.next();
      if (worker === undefined) return;
      const [head] = this.#queue;
      if (head === undefined) return;
      const cut = this.#policy<Input>(this.#queue, this.#budget());
      // A busy worker gains nothing from a batch that more inputs could still join.
      if (worker.taken > 0 && (isSuspect(head) || !cut.full)) return;
      const hopeless = this.#hopelessCalls(cut, atMs);
      if (hopeless.size === 0) this.#start(worker, cut, atMs);
      for (const call of hopeless) this.#reject(call, "deadline_exceeded", { phase: phaseOf(call) });
    }
  }

  #budget(): BatchBudget {
    return nextBudget(this.#limits, {
      waitingInputs: this.#queue.inputs,
      idleWorkers: this.#permits.idleWorkers,
      paddedTokensPerMs: this.#serviceTime.paddedTokensPerMs(),
    });
  }

  /** The calls about to start whose answer would come too late. */
  #hopelessCalls(cut: BatchCut<Input>, atMs: number): ReadonlySet<LiveCall> {
    const hopeless = new Set<LiveCall>();
    const expectedMs = this.#serviceTime.expectedMs(cut.paddedTokens, atMs);
    if (expectedMs === undefined) return hopeless;
    for (const { call } of cut.inputs) if (call.deadlineAtMs - expectedMs < atMs) hopeless.add(call);
    return hopeless;
  }

  #start(worker: Worker, { inputs, paddedTokens }: BatchCut<Input>, atMs: number): void {
    const [head] = inputs;
    if (head === undefined) throw new Error("An empty batch would never end; a bug of the batch policy.");
    this.#queue.take(inputs);
    const id = this.#flights.start({ workerId: worker.id, inputs, paddedTokens }, atMs);
    this.#permits.take(worker);
    worker.isolated = isSuspect(head);
    this.#calls.takeOff(inputs);
    this.#commands.push({
      type: "run_batch",
      workerId: worker.id,
      batch: {
        id,
        batchKey: head.batchKey,
        inputs: inputs.map(({ call, index }) => ({ callId: call.id, index })),
        paddedTokens,
      },
    });
  }

  #reject(call: LiveCall, reason: RejectReason, details: RejectDetails): void {
    this.#refuse(call, reason, details);
    this.#settle(call);
  }

  #refuse(call: Pick<LiveCall, "id" | "tokens">, reason: RejectReason, details: RejectDetails): void {
    const backlog = {
      tokens: this.#queue.tokens,
      awayTokens: this.#away.tokensAfter(this.#nowMs),
      tokensPerMs: this.#serviceTime.tokensPerMs(),
      workers: this.#permits.workers,
    };
    const retryMs = retryAfterMs(reason, backlog, this.#random);
    if (reason === "queue_full" || reason === "tenant_queue_full") this.#away.add(call.tokens, this.#nowMs + retryMs);
    this.#commands.push({ type: "reject_call", callId: call.id, reason, retryAfterMs: retryMs, ...details });
  }

  /** The call is over; its inputs in flight finish unseen. */
  #settle(call: LiveCall): void {
    for (const input of call.inputs) if (input.list !== undefined) this.#queue.remove(input);
    this.#calls.settle(call);
  }

  #announceDrained(): void {
    if (this.#drain !== "requested" || this.#calls.count > 0) return;
    this.#drain = "announced";
    this.#commands.push({ type: "announce_drained" });
  }

  /** Only ever moves the timer to an earlier instant: one that fires for nothing costs less than a new one at each event. */
  #armTimer(): void {
    const nextAtMs = Math.min(
      this.#calls.firstToExpire()?.deadlineAtMs ?? Infinity,
      this.#flights.nextOverdueAtMs(),
      this.#drain === "requested" ? this.#graceEndsAtMs : Infinity,
    );
    if (nextAtMs >= this.#timerAtMs) return;
    this.#timerAtMs = nextAtMs;
    this.#commands.push({ type: "set_timer", atMs: nextAtMs });
  }
}
