import { refusalAt } from "./admission.ts";
import type { BatchCut, BatchPolicy } from "./batch-policy.ts";
import type {
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
import { backAfterMs, budgetOf, hopelessCalls, Lanes, noteFinished } from "./lanes.ts";
import { LiveCalls, phaseOf } from "./live-calls.ts";
import { Permits, type Worker } from "./permits.ts";
import { Residency } from "./residency.ts";
import { type Death, isSuspect } from "./suspects.ts";

/** A scheduler with an empty queue and no workers; `random` gives numbers from [0, 1). */
export function createScheduler(limits: SchedulerLimits, policy: BatchPolicy, random: () => number): Scheduler {
  return new QueueScheduler(limits, policy, random);
}

type EventOf<T> = Extract<SchedulerEvent, { readonly type: T }>;
type RejectDetails = Pick<Extract<SchedulerCommand, { readonly type: "reject_call" }>, "inputIndex" | "phase">;

class QueueScheduler implements Scheduler {
  readonly #limits: SchedulerLimits;
  readonly #policy: BatchPolicy;
  readonly #random: () => number;
  readonly #calls = new LiveCalls();
  readonly #lanes: Lanes;
  readonly #permits = new Permits();
  readonly #flights: Flights;
  readonly #residency: Residency;
  #nowMs = 0;
  #graceEndsAtMs = Infinity;
  #drain: "no" | "requested" | "announced" = "no";
  #timerAtMs = Infinity;
  #commands: SchedulerCommand[] = [];

  constructor(limits: SchedulerLimits, policy: BatchPolicy, random: () => number) {
    this.#limits = limits;
    this.#policy = policy;
    this.#random = random;
    this.#flights = new Flights(limits.batchTimeoutMs);
    this.#lanes = new Lanes(limits);
    this.#residency = new Residency(limits.models, {
      waits: (model) => this.#lanes.of(model).queue.inputs > 0,
      runs: (model) => this.#permits.areTaken(model),
    });
  }

  handle(event: SchedulerEvent): readonly SchedulerCommand[] {
    const commands: SchedulerCommand[] = [];
    this.#commands = commands;
    this.#nowMs = event.atMs;
    // First of all, since a timer may be late: whatever the event brings, it comes too late for these.
    this.#rejectExpired(event.atMs);
    this.#apply(event);
    const isLast = event.type !== "call_submitted" || event.moreFollow !== true;
    if (isLast) {
      this.#moveModels(event.atMs);
      this.#handOutPermits(event.atMs);
    }
    this.#announceDrained();
    this.#armTimer();
    return commands;
  }

  snapshot(): SchedulerSnapshot {
    return {
      ...this.#lanes.counts(),
      ...this.#calls.counts(),
      freePermits: this.#permits.free,
      flights: this.#flights.count,
      readyWorkers: this.#permits.workers,
      draining: this.#drain !== "no",
      models: this.#residency.snapshot(),
    };
  }

  #apply(event: SchedulerEvent): void {
    switch (event.type) {
      case "call_submitted":
        return this.#submit(event.call, event.atMs);
      case "call_aborted":
        return this.#abort(event.callId);
      case "worker_ready":
        return this.#welcome(event);
      case "worker_lost":
        return this.#loseWorker(event.workerId);
      case "permits_changed":
        return this.#permits.change(event.workerId, event.permits);
      case "batch_finished":
        return this.#finishBatch(event.batchId, new Set(event.failedInputs), event.atMs);
      case "batch_failed":
        return this.#failBatch(event.batchId, event.atMs);
      case "model_unloaded":
        return this.#residency.modelUnloaded(event.model);
      case "model_failed":
        return this.#failModel(event.model, event.atMs);
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
    const lane = this.#lanes.of(call.model ?? "");
    const evict = (victim: LiveCall): void => this.#reject(victim, "tenant_queue_full", {});
    const door = { lane, limits: this.#limits, residency: this.#residency, evict };
    const reason = this.#drain === "no" ? refusalAt(door, call, atMs) : "draining";
    const phase: RejectDetails = reason === "deadline_exceeded" ? { phase: "queued" } : {};
    if (reason === undefined) this.#calls.add(lane.queue.append(call));
    else this.#refuse({ id: call.id, model: lane.model, tokens: tokensOf(call) }, reason, phase);
  }

  #welcome({ workerId, permits, model = "", memoryBytes, atMs }: EventOf<"worker_ready">): void {
    // Its model may have been given up while it was starting.
    if (!this.#residency.workerReady({ model, memoryBytes, atMs }, this.#calls.all())) return;
    this.#lanes.of(model).everReady = true;
    this.#permits.workerReady(workerId, permits, model);
  }

  #failModel(model: string, atMs: number): void {
    this.#residency.modelFailed(model, atMs);
    for (const call of this.#calls.all()) if (call.model === model) this.#reject(call, "model_unavailable", {});
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
    noteFinished(this.#lanes.ofInputs(flight.inputs), flight, atMs);
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
      const refusal = this.#lanes.of(input.call.model).suspects.judge(input, { ...death, batchInputs: inputs.length });
      if (refusal === undefined) again.push(input);
      else this.#reject(input.call, refusal, { inputIndex: input.index });
    }
    this.#lanes.ofInputs(inputs).queue.requeue(again);
  }

  #rejectExpired(atMs: number): void {
    for (;;) {
      const call = this.#calls.firstToExpire();
      if (call === undefined || call.deadlineAtMs > atMs) return;
      const phase = this.#residency.isComing(call) ? "loading" : phaseOf(call, this.#flights);
      this.#reject(call, "deadline_exceeded", { phase });
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

  /** Loads what waits for its model, and makes room for it. */
  #moveModels(atMs: number): void {
    for (const command of this.#residency.plan(atMs)) {
      if (command.type === "unload_model") this.#permits.modelLost(command.model);
      this.#commands.push(command);
    }
  }

  #handOutPermits(atMs: number): void {
    const { flightsMax = Infinity } = this.#limits;
    /** Models that have nothing for the workers that are left. */
    const served = new Set<string>();
    const waits = (model: string): boolean =>
      !served.has(model) && this.#lanes.of(model).queue.inputs > 0 && !this.#residency.isLeaving(model);
    while (this.#flights.count < flightsMax) {
      const worker = this.#permits.next(waits);
      if (worker === undefined) return;
      const lane = this.#lanes.of(worker.model);
      const [head] = lane.queue;
      if (head === undefined) return;
      const idleWorkers = Math.min(this.#permits.idleWorkersOf(lane.model), flightsMax - this.#flights.count);
      const cut = this.#policy<Input>(lane.queue, budgetOf(lane, this.#limits, idleWorkers));
      // A busy worker gains nothing from a batch that more inputs could still join.
      if (worker.taken > 0 && (isSuspect(head) || !cut.full)) {
        served.add(lane.model);
        continue;
      }
      const hopeless = hopelessCalls(lane, cut, atMs);
      if (hopeless.size === 0) this.#start(worker, cut, atMs);
      for (const call of hopeless) this.#reject(call, "deadline_exceeded", { phase: phaseOf(call, this.#flights) });
    }
  }

  #start(worker: Worker, { inputs, paddedTokens }: BatchCut<Input>, atMs: number): void {
    const [head] = inputs;
    if (head === undefined) throw new Error("An empty batch would never end; a bug of the batch policy.");
    this.#lanes.of(worker.model).queue.take(inputs);
    const id = this.#flights.start({ workerId: worker.id, inputs }, atMs);
    this.#permits.take(worker);
    worker.isolated = isSuspect(head);
    this.#calls.takeOff(inputs);
    const refs = inputs.map(({ call, index }) => ({ callId: call.id, index }));
    const batch = { id, batchKey: head.batchKey, inputs: refs, paddedTokens };
    this.#commands.push({ type: "run_batch", workerId: worker.id, batch });
  }

  #reject(call: LiveCall, reason: RejectReason, details: RejectDetails): void {
    this.#refuse(call, reason, details);
    this.#settle(call);
  }

  #refuse(call: Pick<LiveCall, "id" | "model" | "tokens">, reason: RejectReason, details: RejectDetails): void {
    const retryAfterMs = backAfterMs(this.#lanes.of(call.model), reason, {
      call,
      atMs: this.#nowMs,
      workers: this.#permits.workersOf(call.model),
      failedForMs: this.#residency.failedForMs(call.model, this.#nowMs),
      random: this.#random,
    });
    this.#commands.push({ type: "reject_call", callId: call.id, reason, retryAfterMs, ...details });
  }

  /** The call is over; its inputs in flight finish unseen. */
  #settle(call: LiveCall): void {
    const { queue } = this.#lanes.of(call.model);
    for (const input of call.inputs) if (input.list !== undefined) queue.remove(input);
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
      this.#residency.nextTurnAtMs(),
    );
    if (nextAtMs >= this.#timerAtMs) return;
    this.#timerAtMs = nextAtMs;
    this.#commands.push({ type: "set_timer", atMs: nextAtMs });
  }
}
