import type {
  BatchId,
  CallId,
  InputRef,
  SchedulerCommand,
  SchedulerEvent,
  SchedulerSnapshot,
  WorkerId,
} from "../../runtime/scheduler/events.ts";
import { law } from "./books.ts";
import { ModelLaws } from "./model-laws.ts";
import { isLastOfInstant, type RefereeOptions } from "./referee-options.ts";
import { Referee } from "./referee.ts";
import { checkSnapshot } from "./snapshot-laws.ts";

/** The laws for several models: those of one model hold for each, as if it were alone, and those of `ModelLaws` between them. */
export class ModelReferee {
  readonly #parts = new Map<string, Referee>();
  readonly #laws: ModelLaws;
  readonly #flightsMax: number;
  readonly #modelOfCall = new Map<CallId, string>();
  readonly #modelOfWorker = new Map<WorkerId, string>();
  readonly #modelOfBatch = new Map<BatchId, string>();
  readonly #first: string;
  #armedAtMs = Infinity;
  #draining = false;
  #drained = 0;
  #isPlanned = true;

  constructor(options: RefereeOptions) {
    const { models, flightsMax = Infinity } = options.limits;
    if (models === undefined) throw new Error("There are no models.");
    this.#first = models.first;
    this.#flightsMax = flightsMax;
    this.#laws = new ModelLaws(models, {
      waits: (model) => this.#part(model).books.queue.length > 0,
      runs: (model) => [...this.#part(model).books.workers.values()].some(({ flights }) => flights.length > 0),
      openCalls: (model) => [...this.#part(model).books.open.keys()],
    });
    for (const model of models.bytes.keys()) {
      const around = {
        flightsLeft: () => this.#flightsMax - this.#flights(),
        mayRest: () => this.#flights() >= this.#flightsMax || this.#laws.isLeaving(model),
        isComing: () => !this.#laws.isLoaded(model),
      };
      this.#parts.set(model, new Referee({ ...options, around }));
    }
  }

  /** Of all models together. */
  get books(): { readonly counts: ReadonlyMap<string, number> } {
    const sums = new Map<string, number>();
    for (const { books } of this.#parts.values()) {
      for (const [what, times] of books.counts) sums.set(what, (sums.get(what) ?? 0) + times);
    }
    return { counts: sums };
  }

  hasDied(input: InputRef): boolean {
    return this.#part(this.#modelOfCall.get(input.callId) ?? this.#first).hasDied(input);
  }

  check(event: SchedulerEvent, commands: readonly SchedulerCommand[], snapshot: SchedulerSnapshot): void {
    const { atMs } = event;
    const concerned = this.#concerned(event);
    const nothing: SchedulerEvent = { type: "call_aborted", callId: -1, atMs };
    const eventFor = (model: string): SchedulerEvent => (concerned(model) ? event : nothing);
    this.#laws.begin(atMs);
    for (const [model, part] of this.#parts) part.begin(eventFor(model));
    this.#follow(event);
    const isLast = isLastOfInstant(event);
    this.#isPlanned = !isLast;
    for (const command of commands) this.#obey(command, event);
    this.#plan();
    for (const [model, part] of this.#parts) part.end(eventFor(model), isLast);
    if (isLast) this.#laws.end(snapshot.models, this.#armedAtMs);
    const isEmpty = [...this.#parts.values()].every(({ books }) => books.open.size === 0);
    if (this.#draining) law(this.#drained === (isEmpty ? 1 : 0), "drained was not announced");
    checkSnapshot(
      [...this.#parts.values()].map(({ books }) => books),
      snapshot,
      this.#draining,
    );
  }

  checkEnded(): void {
    for (const part of this.#parts.values()) part.checkEnded();
  }

  #concerned(event: SchedulerEvent): (model: string) => boolean {
    switch (event.type) {
      case "timer_fired":
      case "drain_requested":
        return () => true;
      case "call_submitted":
        this.#modelOfCall.set(event.call.id, event.call.model ?? "");
        return (model) => model === event.call.model;
      case "call_aborted":
        return (model) => model === this.#modelOfCall.get(event.callId);
      case "worker_ready":
        this.#modelOfWorker.set(event.workerId, event.model ?? "");
        return (model) => model === event.model;
      case "worker_lost":
      case "permits_changed":
        return (model) => model === this.#modelOfWorker.get(event.workerId);
      case "batch_finished":
      case "batch_failed":
        return (model) => model === (this.#modelOfBatch.get(event.batchId) ?? this.#first);
      case "model_unloaded":
      case "model_failed":
        return () => false;
    }
  }

  #follow(event: SchedulerEvent): void {
    if (event.type === "worker_ready") this.#laws.workerReady(event.model ?? "", event.memoryBytes ?? 0);
    if (event.type === "model_unloaded") this.#laws.unloaded(event.model);
    if (event.type === "model_failed") this.#laws.failed(event.model);
    if (event.type === "drain_requested") this.#draining = true;
    if (event.type === "timer_fired") this.#armedAtMs = Infinity;
  }

  #obey(command: SchedulerCommand, event: SchedulerEvent): void {
    switch (command.type) {
      case "load_model":
        this.#plan();
        this.#laws.load(command.model);
        return this.#part(command.model).books.count("load");
      case "unload_model": {
        this.#plan();
        this.#laws.unload(command.model);
        const { books } = this.#part(command.model);
        books.workers.clear();
        return books.count("unload");
      }
      case "run_batch": {
        this.#plan();
        const model = this.#modelOfWorker.get(command.workerId) ?? "";
        const isOne = command.batch.inputs.every(({ callId }) => this.#modelOfCall.get(callId) === model);
        law(isOne, "a batch was started on another model");
        this.#laws.run(model);
        this.#modelOfBatch.set(command.batch.id, model);
        return this.#part(model).obey(command);
      }
      case "complete_call":
      case "reject_call":
        return this.#end(command, event);
      case "discard_worker":
        return this.#part(this.#modelOfWorker.get(command.workerId) ?? "").obey(command);
      case "set_timer":
        this.#armedAtMs = command.atMs;
        for (const part of this.#parts.values()) part.obey(command);
        return;
      case "announce_drained":
        this.#drained += 1;
        for (const part of this.#parts.values()) part.obey(command);
    }
  }

  #end(command: Extract<SchedulerCommand, { type: "complete_call" | "reject_call" }>, { atMs }: SchedulerEvent): void {
    const model = this.#modelOfCall.get(command.callId) ?? "";
    const part = this.#part(model);
    if (command.type === "reject_call") {
      const { reason } = command;
      const booked = part.books.open.get(command.callId);
      const deadlineAtMs = booked?.call.deadlineAtMs ?? 0;
      // Given up because it would start too late: that is found out when batches are cut.
      if (reason === "deadline_exceeded" && deadlineAtMs > atMs) this.#plan();
      if (reason === "model_too_large" || reason === "model_unavailable") {
        this.#laws.refuse(model, reason);
        const runs = booked?.inputs.some(({ place }) => place === "flying") === true;
        law(!runs, `a call was refused as ${reason} while it runs`);
        part.books.count(reason);
      }
    }
    part.obey(command);
  }

  /** Orders are due, and those of the event are yet to come. */
  #plan(): void {
    if (this.#isPlanned) return;
    this.#isPlanned = true;
    for (const model of this.#parts.keys()) this.#checkRefused(model);
    this.#laws.plan();
  }

  /** Nothing waits for a model that is not to be had. */
  #checkRefused(model: string): void {
    if (this.#part(model).books.queue.length > 0) this.#laws.admit(model);
  }

  #flights(): number {
    let sum = 0;
    for (const { books } of this.#parts.values()) {
      for (const { flights } of books.workers.values()) sum += flights.length;
    }
    return sum;
  }

  #part(model: string): Referee {
    const part = this.#parts.get(model);
    if (part === undefined) throw new Error(`there is no model ${model}`);
    return part;
  }
}
