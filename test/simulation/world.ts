import type { BatchPolicy } from "../../runtime/scheduler/batch-policy.ts";
import type {
  Batch,
  Call,
  CallId,
  InputRef,
  ModelLimits,
  Scheduler,
  SchedulerCommand,
  SchedulerEvent,
  SchedulerLimits,
  WorkerId,
} from "../../runtime/scheduler/events.ts";
import { Agenda, type Entry } from "./agenda.ts";
import { Violation } from "./books.ts";
import { drawLimits, drawRates, type Rates } from "./draws.ts";
import { type Chance, createChance } from "./random.ts";
import { drawModels, ModelHost } from "./model-host.ts";
import { ModelReferee } from "./model-referee.ts";
import { Referee } from "./referee.ts";
import type { Ending, Poison, SimulatedWorker } from "./simulated-worker.ts";

/** What the simulation needs of a scheduler's folder; a faulty copy fits as well. */
export interface SchedulerRoom {
  readonly createScheduler: (limits: SchedulerLimits, policy: BatchPolicy, random: () => number) => Scheduler;
  readonly cutFromHead: BatchPolicy;
}

/** No seed needs a tenth of it. */
const EVENTS_MAX = 50_000;

/** Lives through one seed; returns how often each thing happened, or throws a Violation that names the seed. */
export function runSeed(seed: number, room: SchedulerRoom, setting: Setting = {}): ReadonlyMap<string, number> {
  const world = new World(seed, room, setting);
  try {
    return world.run();
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new Violation(`seed ${seed}, event ${world.events}, ${world.nowMs} ms: ${message}`, { cause: error });
  }
}

/** What chance may not choose. */
export interface Setting {
  readonly tenants?: number;
  readonly lookAheadInputsMax?: number;
  /** Without it there is one, and nothing is loaded or unloaded. */
  readonly models?: number;
}

class World {
  events = 0;
  nowMs = 0;
  readonly #chance: Chance;
  readonly #agenda = new Agenda();
  readonly #scheduler: Scheduler;
  readonly #referee: Referee | ModelReferee;
  readonly #models: ModelHost | undefined;
  readonly #limits: SchedulerLimits;
  readonly #tenants: number;
  readonly #workers = new Map<WorkerId, SimulatedWorker>();
  readonly #poison = new Map<string, Poison>();
  readonly #rates: Rates;
  #timer: Entry | undefined;
  #spawned = 0;
  #drained = false;

  constructor(seed: number, { createScheduler, cutFromHead }: SchedulerRoom, { tenants, models, ...limits }: Setting) {
    this.#chance = createChance(seed);
    this.#limits = { ...drawLimits(this.#chance), ...limits, ...(models && drawModels(this.#chance, models)) };
    this.#tenants = tenants ?? this.#chance.pick([1, 1, 2, 4]);
    this.#rates = drawRates(this.#chance, models);
    this.#models = this.#limits.models && this.#createModelHost(this.#limits.models);
    this.#scheduler = createScheduler(this.#limits, cutFromHead, () => this.#chance.next());
    const isPoison = (input: InputRef): boolean => this.#poison.has(keyOf(input));
    const options = { limits: this.#limits, tenants: this.#tenants, isPoison };
    this.#referee = models === undefined ? new Referee(options) : new ModelReferee(options);
  }

  run(): ReadonlyMap<string, number> {
    const { between, happens } = this.#chance;
    const { models } = this.#limits;
    const workers = models?.workers ?? between(1, 4);
    for (let index = 0; index < workers; index += 1) this.#startWorker(between(0, 60), models?.first);
    const lastArrivalMs = this.#planCalls(between(10, 90));
    const drainAtMs = happens(0.3) ? between(0, lastArrivalMs) : lastArrivalMs + between(0, 2_000);
    this.#agenda.at(drainAtMs, () => this.#tell({ type: "drain_requested", graceMs: between(0, 1_500) }));
    if (happens(0.2)) this.#agenda.at(drainAtMs + 5, () => this.#tell({ type: "drain_requested", graceMs: 10 }));
    for (let entry = this.#agenda.next(); entry !== undefined; entry = this.#agenda.next()) {
      this.nowMs = entry.atMs;
      entry.happen(entry.atMs);
      if (this.events > EVENTS_MAX) throw new Violation("the world does not come to rest");
    }
    this.#referee.checkEnded();
    return this.#referee.books.counts;
  }

  #tell(event: WithoutTime<SchedulerEvent>): void {
    this.events += 1;
    const timed: SchedulerEvent = { ...event, atMs: this.nowMs };
    const commands = this.#scheduler.handle(timed);
    this.#referee.check(timed, commands, this.#scheduler.snapshot());
    for (const command of commands) this.#obey(command);
  }

  #obey(command: SchedulerCommand): void {
    switch (command.type) {
      case "run_batch": {
        const worker = this.#workers.get(command.workerId);
        // A worker may have died without the scheduler having heard of it yet.
        if (worker?.alive !== true) return;
        worker.batches.push(command.batch);
        if (worker.batches.length === 1) this.#runNext(worker);
        return;
      }
      case "discard_worker":
        return this.#discard(command.workerId);
      case "set_timer": {
        if (this.#timer !== undefined) this.#timer.cancelled = true;
        const lateMs = this.#chance.happens(this.#rates.lateTimer) ? this.#chance.between(1, 40) : 0;
        const atMs = Math.max(command.atMs, this.nowMs) + lateMs;
        this.#timer = this.#agenda.at(atMs, () => this.#tell({ type: "timer_fired" }));
        return;
      }
      case "load_model":
        return this.#models?.load(command.model);
      case "unload_model":
        return this.#models?.unload(command.model);
      case "announce_drained":
        this.#drained = true;
        return;
      case "complete_call":
      case "reject_call":
    }
  }

  // Calls.

  #planCalls(count: number): number {
    const { between, happens } = this.#chance;
    let atMs = 0;
    let moreFollow = false;
    for (let id = 1; id <= count; id += 1) {
      atMs += moreFollow || happens(0.3) ? 0 : between(0, this.#rates.arrivalGapMs);
      moreFollow = id < count && happens(0.2);
      const event = { type: "call_submitted", call: this.#drawCall(id, atMs), moreFollow } as const;
      this.#agenda.at(atMs, () => this.#tell(event));
      if (happens(this.#rates.abort)) this.#planAbort(id, atMs + (happens(0.3) ? 0 : between(0, 300)));
    }
    return atMs;
  }

  #planAbort(callId: CallId, atMs: number): void {
    this.#agenda.at(atMs, () => this.#tell({ type: "call_aborted", callId }));
  }

  #drawCall(id: CallId, atMs: number): Call {
    const { between, happens, pick } = this.#chance;
    const inputs = happens(0.5) ? 1 : between(1, pick([4, 16, 64]));
    const inputTokens = Array.from({ length: inputs }, () => between(1, pick([8, 32, 256])));
    for (let index = 0; index < inputs; index += 1) {
      if (!happens(this.#rates.poison / inputs)) continue;
      this.#poison.set(keyOf({ callId: id, index }), pick(["kills", "fails", "stalls", "has no vector"]));
    }
    const deadlineAtMs = atMs + (happens(this.#rates.shortDeadline) ? between(0, 200) : between(1_000, 60_000));
    const model = this.#limits.models && { model: this.#drawModel(this.#limits.models) };
    const call: Call = { id, batchKey: pick(["a", "a", "a", "b", "c"]), inputTokens, deadlineAtMs, ...model };
    if (this.#tenants === 1) return call;
    // The first tenant floods.
    const tenant = happens(0.5) ? "tenant 1" : `tenant ${between(1, this.#tenants)}`;
    return { ...call, tenant, priority: pick(["interactive", "bulk"]) };
  }

  #drawModel({ bytes, first }: ModelLimits): string {
    const names = [...bytes.keys()];
    return names[this.#chance.between(0, names.length - 1)] ?? first;
  }

  // Workers.

  #createModelHost(limits: ModelLimits): ModelHost {
    return new ModelHost({
      limits,
      chance: this.#chance,
      agenda: this.#agenda,
      nowMs: () => this.nowMs,
      tell: (event) => this.#tell(event),
      startWorker: (inMs, model) => this.#startWorker(inMs, model),
      endWorkers: (model) => {
        for (const worker of this.#workers.values()) if (worker.model === model) worker.alive = false;
      },
    });
  }

  #startWorker(inMs: number, model?: string): void {
    const { between, happens } = this.#chance;
    const epoch = this.#models?.epochOf(model ?? "");
    this.#agenda.at(this.nowMs + inMs, () => {
      if (this.#drained || this.#models?.epochOf(model ?? "") !== epoch) return;
      const id = `worker ${++this.#spawned}`;
      const permits = between(1, 3);
      const worker: SimulatedWorker = { id, model, epoch, permits, batches: [], ending: undefined, alive: true };
      this.#workers.set(id, worker);
      const memoryBytes = this.#models?.memoryBytesOf(model ?? "") ?? 0;
      const holds = model === undefined ? {} : { model, memoryBytes };
      this.#tell({ type: "worker_ready", workerId: id, permits: worker.permits, ...holds });
      if (happens(this.#rates.idleCrash)) this.#planIdleCrash(worker);
      if (happens(this.#rates.newPermits)) this.#planNewPermits(id);
    });
  }

  #planNewPermits(workerId: WorkerId): void {
    const { between } = this.#chance;
    this.#agenda.at(this.nowMs + between(0, 300), () => {
      this.#tell({ type: "permits_changed", workerId, permits: between(0, 4) });
      this.#agenda.at(this.nowMs + between(0, 300), () => {
        this.#tell({ type: "permits_changed", workerId, permits: between(1, 4) });
      });
    });
  }

  #planIdleCrash(worker: SimulatedWorker): void {
    this.#agenda.at(this.nowMs + this.#chance.between(0, 300), () => {
      if (!worker.alive || worker.batches.length > 0) return;
      worker.alive = false;
      // Noticed at once: a suspect sent to a corpse would die alone, and no scheduler could tell that from guilt.
      this.#replace(worker);
    });
  }

  #runNext(worker: SimulatedWorker): void {
    const [batch] = worker.batches;
    if (batch === undefined) return;
    const durationMs = 1 + this.#chance.between(0, this.#rates.batchMs);
    const ending = this.#endingOf(batch);
    // Only the scheduler's batch timeout ends a stall.
    if (ending === "stalls") return;
    worker.ending = this.#agenda.at(this.nowMs + durationMs, () => {
      if (ending === "kills") return this.#kill(worker, this.#chance.between(0, 2));
      worker.batches.shift();
      // The worker goes on before its answer is read.
      this.#runNext(worker);
      if (ending === "fails") this.#tell({ type: "batch_failed", batchId: batch.id });
      else this.#answer(batch);
    });
  }

  #endingOf(batch: Batch): Ending {
    for (const input of batch.inputs) {
      const poison = this.#poison.get(keyOf(input));
      if (poison !== undefined && poison !== "has no vector") return poison;
    }
    const { happens, pick } = this.#chance;
    const unlucky = happens(this.#rates.badLuck);
    // Bad luck with an input that runs alone because it is suspected looks like guilt to any scheduler.
    if (!unlucky || batch.inputs.some((input) => batch.inputs.length === 1 && this.#referee.hasDied(input)))
      return "finishes";
    return pick(["kills", "fails", "stalls"]);
  }

  #answer(batch: Batch): void {
    const failedInputs = [...batch.inputs.keys()].filter((position) => {
      const input = batch.inputs[position];
      return input !== undefined && this.#poison.get(keyOf(input)) === "has no vector";
    });
    this.#tell({ type: "batch_finished", batchId: batch.id, failedInputs });
    if (this.#chance.happens(0.02)) this.#tell({ type: "batch_finished", batchId: batch.id, failedInputs });
    if (this.#chance.happens(0.02)) this.#tell({ type: "batch_failed", batchId: batch.id });
    if (this.#chance.happens(0.01)) this.#tell({ type: "batch_finished", batchId: 1_000_000, failedInputs: [0] });
  }

  /** The worker is dead now; the pool may notice a little later. */
  #kill(worker: SimulatedWorker, noticedInMs: number): void {
    worker.alive = false;
    if (worker.ending !== undefined) worker.ending.cancelled = true;
    this.#agenda.at(this.nowMs + noticedInMs, () => this.#replace(worker));
  }

  #replace(worker: SimulatedWorker): void {
    this.#tell({ type: "worker_lost", workerId: worker.id });
    if (this.#models?.epochOf(worker.model ?? "") !== worker.epoch) return;
    this.#startWorker(this.#chance.between(1, this.#rates.restartMs), worker.model);
  }

  /** The worker's answers may still be on their way. */
  #discard(workerId: WorkerId): void {
    const worker = this.#workers.get(workerId);
    if (worker?.alive !== true) return;
    const late = this.#chance.happens(0.5) ? worker.batches.slice() : [];
    this.#kill(worker, this.#chance.between(0, 5));
    for (const batch of late) this.#agenda.at(this.nowMs + this.#chance.between(0, 50), () => this.#answer(batch));
  }
}

type WithoutTime<T> = T extends unknown ? Omit<T, "atMs"> : never;

function keyOf({ callId, index }: InputRef): string {
  return `${callId}/${index}`;
}
