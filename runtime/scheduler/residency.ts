import type { ModelLimits, ModelSnapshot, ModelStage, SchedulerCommand } from "./events.ts";
import type { LiveCall } from "./input-list.ts";

/** A model in use stays so many times as long as its load took: at most a fifth of the time goes into loading. */
const STAY_FACTOR = 4;

/** What a load counts as at least, one that was not seen too, and at most: nobody waits for ever behind a slow one. */
const LOAD_MIN_MS = 500;
const LOAD_MAX_MS = 5_000;

/** A model that could not be loaded is not tried again before. */
const FAILED_FOR_MS = 30_000;

/** One model, and what decides whether it is in memory. */
interface Resident {
  readonly model: string;
  stage: ModelStage;
  /** With all its workers; assumed until a worker tells. */
  bytes: number;
  loadFromMs: number;
  loadMs: number;
  loadedAtMs: number;
  /** When it last had work. */
  usedAtMs: number;
  inUse: boolean;
  /** Place among those that wait to be loaded; undefined while it does not. */
  ticket: number | undefined;
  failedUntilMs: number;
  /** The calls that had been waiting when it was loaded: they are served before it goes. */
  turn: LiveCall[];
}

/** A worker that has loaded its model. */
interface Arrival {
  readonly model: string;
  readonly memoryBytes: number | undefined;
  readonly atMs: number;
}

/** What each model has to do, as the scheduler sees it. */
export interface ModelWork {
  /** Inputs wait for it. */
  readonly waits: (model: string) => boolean;
  /** A batch runs on it. */
  readonly runs: (model: string) => boolean;
}

type Order = Extract<SchedulerCommand, { readonly type: "load_model" | "unload_model" }>;

/** No model is loaded on demand. */
const NO_MODELS: ModelLimits = { memoryBytesMax: Infinity, bytes: new Map<string, number>(), first: "", workers: 1 };

/**
 * Decides which models are in memory. One that is waited for is loaded when it fits; else room is made, in the order in
 * which the models were asked for.
 *
 * The least recently used idle model goes first, once it has been idle for as long as its load took. Where all are in
 * use they take turns: the one loaded first goes after it has served what waited when it came, and has stayed for four
 * times its load. It starts no further batch then, and goes when the last one has ended.
 */
export class Residency {
  readonly #limits: ModelLimits;
  readonly #work: ModelWork;
  readonly #residents = new Map<string, Resident>();
  #leaving: Resident | undefined;
  #tickets = 0;

  constructor(limits: ModelLimits = NO_MODELS, work: ModelWork) {
    this.#limits = limits;
    this.#work = work;
    for (const [model, bytes] of limits.bytes) {
      this.#residents.set(model, {
        model,
        stage: model === limits.first ? "loading" : "cold",
        bytes,
        loadFromMs: Infinity,
        loadMs: LOAD_MIN_MS,
        loadedAtMs: 0,
        usedAtMs: 0,
        inUse: false,
        ticket: undefined,
        failedUntilMs: 0,
        turn: [],
      });
    }
  }

  snapshot(): readonly ModelSnapshot[] {
    const all = [...this.#residents.values()];
    return all.map(({ model, stage, bytes }) => ({ model, stage, memoryBytes: stage === "cold" ? 0 : bytes }));
  }

  /** Why a call for this model must be refused at once; models that the limits do not name are not its business. */
  refusal(model: string, atMs: number): "model_unavailable" | "model_too_large" | undefined {
    const { bytes, first, memoryBytesMax } = this.#limits;
    const resident = this.#residents.get(model);
    if (resident === undefined) return undefined;
    if (resident.failedUntilMs > atMs) return "model_unavailable";
    return model !== first && (bytes.get(model) ?? 0) > memoryBytesMax ? "model_too_large" : undefined;
  }

  /** How long a model that failed is left alone. */
  failedForMs(model: string, atMs: number): number {
    return Math.max(0, (this.#residents.get(model)?.failedUntilMs ?? 0) - atMs);
  }

  /** Whether the call waits for its model rather than for a permit. */
  isComing({ model, flying, done }: Pick<LiveCall, "model" | "flying" | "done">): boolean {
    const stage = this.#residents.get(model)?.stage;
    return stage !== undefined && stage !== "loaded" && flying + done === 0;
  }

  /** It makes room and starts nothing more. */
  isLeaving(model: string): boolean {
    return this.#leaving?.model === model;
  }

  /** A worker is ready; false where its model was given up meanwhile. `calls`: all that are open. */
  workerReady({ model, memoryBytes = 0, atMs }: Arrival, calls: Iterable<LiveCall>): boolean {
    const resident = this.#residents.get(model);
    if (resident === undefined) return true;
    const bytes = memoryBytes * this.#limits.workers;
    if (resident.stage === "loaded") resident.bytes = Math.max(resident.bytes, bytes);
    if (resident.stage !== "loading") return resident.stage === "loaded";
    resident.stage = "loaded";
    resident.loadedAtMs = atMs;
    resident.loadMs = Math.min(LOAD_MAX_MS, Math.max(LOAD_MIN_MS, atMs - resident.loadFromMs));
    resident.usedAtMs = Math.max(resident.usedAtMs, Math.min(resident.loadFromMs, atMs));
    resident.turn = [...calls].filter((call) => call.model === model);
    if (bytes > 0) resident.bytes = bytes;
    return true;
  }

  modelUnloaded(model: string): void {
    const resident = this.#residents.get(model);
    if (resident?.stage === "unloading") resident.stage = "cold";
  }

  modelFailed(model: string, atMs: number): void {
    const resident = this.#residents.get(model);
    if (resident === undefined) return;
    resident.stage = "cold";
    resident.failedUntilMs = atMs + FAILED_FOR_MS;
  }

  /** What is to be loaded and unloaded now. */
  plan(atMs: number): readonly Order[] {
    const orders: Order[] = [];
    for (const resident of this.#residents.values()) this.#note(resident, atMs);
    this.#leaving = undefined;
    for (;;) {
      const next = this.#next();
      const shortBytes = this.#shortBytes(next);
      if (next !== undefined && shortBytes <= 0) {
        orders.push(load(next, atMs));
        continue;
      }
      const victim = shortBytes <= this.#goingBytes() ? undefined : this.#victim(atMs);
      if (victim === undefined) return orders;
      if (this.#work.runs(victim.model)) {
        this.#leaving = victim;
        return orders;
      }
      victim.stage = "unloading";
      orders.push({ type: "unload_model", model: victim.model });
    }
  }

  /** When a model may have to make room though nothing else happens; Infinity where nothing waits for that. */
  nextTurnAtMs(): number {
    if (this.#leaving !== undefined || this.#shortBytes(this.#next()) <= this.#goingBytes()) return Infinity;
    return Math.min(...this.#candidates().map((resident) => this.#mayGoAtMs(resident)));
  }

  #note(resident: Resident, atMs: number): void {
    const waits = this.#work.waits(resident.model);
    const inUse = waits || this.#work.runs(resident.model);
    // The event that ends its work still finds it in use.
    if (inUse || resident.inUse) resident.usedAtMs = atMs;
    resident.inUse = inUse;
    const isWanted = waits && resident.stage === "cold";
    if (!isWanted) resident.ticket = undefined;
    else resident.ticket ??= this.#tickets++;
  }

  /** The model that has been waiting longest to be loaded. */
  #next(): Resident | undefined {
    let next: Resident | undefined;
    for (const resident of this.#residents.values()) {
      if (resident.ticket === undefined) continue;
      if (next?.ticket === undefined || resident.ticket < next.ticket) next = resident;
    }
    return next;
  }

  /** By how much the budget is too small for what is in memory and the next one; nothing is too large for an empty memory. */
  #shortBytes(next: Resident | undefined): number {
    const held = this.#held();
    if (held.length === 0 || (next === undefined && held.length === 1)) return 0;
    return sumOf(held) + (next?.bytes ?? 0) - this.#limits.memoryBytesMax;
  }

  #goingBytes(): number {
    const going = this.#held().filter(({ stage }) => stage === "unloading");
    // Even where memory grew while they loaded, what is about to be empty is waited for.
    return going.length === this.#held().length && going.length > 0 ? Infinity : sumOf(going);
  }

  #held(): readonly Resident[] {
    return [...this.#residents.values()].filter(({ stage }) => stage !== "cold");
  }

  /** The idle model that was used least recently; where none is idle all, the one that came first before the others. */
  #candidates(): readonly Resident[] {
    const loaded = [...this.#residents.values()].filter(({ stage }) => stage === "loaded");
    const idle = loaded.filter(({ inUse }) => !inUse).toSorted((a, b) => a.usedAtMs - b.usedAtMs);
    return idle.length > 0 ? idle.slice(0, 1) : loaded.toSorted((a, b) => a.loadedAtMs - b.loadedAtMs);
  }

  #victim(atMs: number): Resident | undefined {
    return this.#candidates().find((resident) => this.#mayGoAtMs(resident) <= atMs);
  }

  #mayGoAtMs(resident: Resident): number {
    const { turn, inUse, usedAtMs, loadedAtMs, loadMs } = resident;
    while (turn.at(-1)?.settled === true) turn.pop();
    if (turn.length > 0) return Infinity;
    const stayedAtMs = loadedAtMs + STAY_FACTOR * loadMs;
    return inUse ? stayedAtMs : Math.min(stayedAtMs, usedAtMs + loadMs);
  }
}

function load(resident: Resident, atMs: number): Order {
  resident.stage = "loading";
  resident.ticket = undefined;
  resident.loadFromMs = atMs;
  return { type: "load_model", model: resident.model };
}

function sumOf(residents: readonly Resident[]): number {
  return residents.reduce((sum, { bytes }) => sum + bytes, 0);
}
