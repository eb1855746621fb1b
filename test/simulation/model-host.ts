import type { ModelLimits, SchedulerEvent, SchedulerLimits } from "../../runtime/scheduler/events.ts";
import type { Agenda } from "./agenda.ts";
import type { Chance } from "./random.ts";

/** How the models of a world behave. */
export interface ModelRates {
  readonly loadMs: number;
  readonly failure: number;
}

export function drawModels(
  { between, pick }: Chance,
  count: number,
): Pick<SchedulerLimits, "models" | "flightsMax"> & { readonly models: ModelLimits } {
  const bytes = Array.from({ length: count }, (_, at) => [`model ${at + 1}`, between(50, 150)] as const);
  const memoryBytesMax = pick([200, 250, 400, 1_000]);
  const models = {
    memoryBytesMax,
    bytes: new Map([...bytes, ["too large", memoryBytesMax + 1] as const]),
    first: "model 1",
    workers: pick([1, 1, 2]),
  };
  return { models, flightsMax: pick([1, 2, 4, Infinity]) };
}

interface ModelHostOptions {
  readonly limits: ModelLimits;
  readonly chance: Chance;
  readonly agenda: Agenda;
  readonly nowMs: () => number;
  readonly tell: (event: ModelEvent) => void;
  readonly startWorker: (inMs: number, model: string) => void;
  readonly endWorkers: (model: string) => void;
}

type ModelEvent = Omit<Extract<SchedulerEvent, { type: "model_unloaded" | "model_failed" }>, "atMs">;

/** The pool of the simulated world, as far as it is about models. */
export class ModelHost {
  readonly #options: ModelHostOptions;
  readonly #rates: ModelRates;
  /** How often each model was ordered to come or go: what was planned for an earlier stay is void. */
  readonly #epochs = new Map<string, number>();
  /** What a worker of each takes in truth. */
  readonly #workerBytes = new Map<string, number>();

  constructor(options: ModelHostOptions) {
    const { limits, chance } = options;
    this.#options = options;
    this.#rates = { loadMs: chance.pick([50, 1_000, 8_000]), failure: chance.pick([0, 0.3]) };
    for (const [model, bytes] of limits.bytes) {
      const factor = chance.pick([0.8, 1, 1, 1.5]);
      this.#workerBytes.set(model, (bytes * factor) / limits.workers);
    }
  }

  epochOf(model: string): number {
    return this.#epochs.get(model) ?? 0;
  }

  memoryBytesOf(model: string): number {
    return this.#workerBytes.get(model) ?? 0;
  }

  load(model: string): void {
    const { limits, chance, startWorker } = this.#options;
    const epoch = this.#turn(model);
    const loadMs = chance.between(1, this.#rates.loadMs);
    if (chance.happens(this.#rates.failure)) return this.#later(loadMs, epoch, { type: "model_failed", model });
    for (let index = 0; index < limits.workers; index += 1) startWorker(loadMs + chance.between(0, 100), model);
  }

  unload(model: string): void {
    const epoch = this.#turn(model);
    this.#options.endWorkers(model);
    this.#later(this.#options.chance.between(0, 60), epoch, { type: "model_unloaded", model });
  }

  #turn(model: string): number {
    const epoch = this.epochOf(model) + 1;
    this.#epochs.set(model, epoch);
    return epoch;
  }

  #later(inMs: number, epoch: number, event: ModelEvent): void {
    const { agenda, nowMs, tell } = this.#options;
    agenda.at(nowMs() + inMs, () => {
      if (this.epochOf(event.model) === epoch) tell(event);
    });
  }
}
