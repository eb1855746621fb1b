import type { CallId, ModelLimits, ModelSnapshot, ModelStage } from "../../runtime/scheduler/events.ts";
import { law } from "./books.ts";

/** A model as the laws see it. */
interface BookedModel {
  readonly model: string;
  stage: ModelStage;
  bytes: number;
  loadFromMs: number;
  loadMs: number;
  loadedAtMs: number;
  usedAtMs: number;
  inUse: boolean;
  /** Order of those that wait to be loaded; Infinity for the others. */
  ticket: number;
  failedUntilMs: number;
  /** The calls it found waiting, and whether all of them had ended when orders were last due. */
  turn: readonly CallId[];
  isTurnOver: boolean;
}

/** What the laws ask of the books of each model. */
export interface ModelView {
  readonly waits: (model: string) => boolean;
  readonly runs: (model: string) => boolean;
  readonly openCalls: (model: string) => readonly CallId[];
}

const STAY_FACTOR = 4;
const LOAD_MIN_MS = 500;
const LOAD_MAX_MS = 5_000;
const FAILED_FOR_MS = 30_000;

/** When models may be, and must be, loaded and unloaded. */
export class ModelLaws {
  readonly #limits: ModelLimits;
  readonly #view: ModelView;
  readonly #models: readonly BookedModel[];
  #tickets = 0;
  #nowMs = 0;

  constructor(limits: ModelLimits, view: ModelView) {
    this.#limits = limits;
    this.#view = view;
    this.#models = [...limits.bytes].map(([model, bytes]) => ({
      model,
      stage: model === limits.first ? "loading" : "cold",
      bytes,
      loadFromMs: Infinity,
      loadMs: LOAD_MIN_MS,
      loadedAtMs: 0,
      usedAtMs: 0,
      inUse: false,
      ticket: Infinity,
      failedUntilMs: 0,
      turn: [],
      isTurnOver: true,
    }));
  }

  begin(atMs: number): void {
    this.#nowMs = atMs;
  }

  isLoaded(model: string): boolean {
    return this.#of(model).stage === "loaded";
  }

  /** It must start nothing more. */
  isLeaving(model: string): boolean {
    return this.#isShort() && this.#victim()?.model === model;
  }

  workerReady(model: string, memoryBytes: number): void {
    const booked = this.#of(model);
    const bytes = memoryBytes * this.#limits.workers;
    booked.bytes = booked.stage === "loaded" ? Math.max(booked.bytes, bytes) : bytes;
    if (booked.stage === "loaded") return;
    law(booked.stage === "loading", "a worker came of a model that nobody loads");
    booked.stage = "loaded";
    booked.loadedAtMs = this.#nowMs;
    booked.loadMs = Math.min(LOAD_MAX_MS, Math.max(LOAD_MIN_MS, this.#nowMs - booked.loadFromMs));
    booked.usedAtMs = Math.max(booked.usedAtMs, Math.min(booked.loadFromMs, this.#nowMs));
    booked.turn = this.#view.openCalls(model);
  }

  unloaded(model: string): void {
    this.#of(model).stage = "cold";
  }

  failed(model: string): void {
    this.#of(model).stage = "cold";
    this.#of(model).failedUntilMs = this.#nowMs + FAILED_FOR_MS;
  }

  /** Orders are due now: the event is booked, and nothing has been started yet. */
  plan(): void {
    for (const booked of this.#models) {
      const waits = this.#view.waits(booked.model);
      const inUse = waits || this.#view.runs(booked.model);
      if (inUse || booked.inUse) booked.usedAtMs = this.#nowMs;
      booked.inUse = inUse;
      const open = new Set(this.#view.openCalls(booked.model));
      booked.isTurnOver = !booked.turn.some((callId) => open.has(callId));
      if (!waits || booked.stage !== "cold") booked.ticket = Infinity;
      else if (booked.ticket === Infinity) booked.ticket = this.#tickets++;
    }
  }

  load(model: string): void {
    const booked = this.#of(model);
    law(booked.stage === "cold" && this.#view.waits(model), "a model was loaded that nobody waits for");
    law(booked === this.#next(), "a model was loaded before one that waits longer");
    law(this.#fits(), "the models take more memory than they may");
    booked.stage = "loading";
    booked.ticket = Infinity;
    booked.loadFromMs = this.#nowMs;
  }

  unload(model: string): void {
    const booked = this.#of(model);
    law(booked.stage === "loaded", "a model was unloaded that is not loaded");
    law(!this.#view.runs(model), "a model was unloaded in the middle of a batch");
    law(this.#isShort(), "a model was unloaded for nobody");
    law(booked.isTurnOver, "a model was unloaded before it had served what it found waiting");
    law(this.#mayGoAtMs(booked) <= this.#nowMs, "a model was unloaded before its time");
    law(booked === this.#victim(), "another model was used less recently, or came first");
    booked.stage = "unloading";
  }

  run(model: string): void {
    law(this.isLoaded(model), "a batch was started on a model that is not loaded");
    law(!this.isLeaving(model), "a model that must make room started a batch");
  }

  refuse(model: string, reason: string): void {
    const isTooLarge = (this.#limits.bytes.get(model) ?? 0) > this.#limits.memoryBytesMax;
    if (reason === "model_too_large") law(isTooLarge, "a model was called too large that is not");
    else law(this.#of(model).failedUntilMs > this.#nowMs, "a call was refused for a model that has not failed");
  }

  admit(model: string): void {
    law(this.#of(model).failedUntilMs <= this.#nowMs, "a call was admitted for a model that has failed");
    const bytes = this.#limits.bytes.get(model) ?? 0;
    law(model === this.#limits.first || bytes <= this.#limits.memoryBytesMax, "a call was admitted that never fits");
  }

  /** Everything that was due has been ordered. */
  end(snapshot: readonly ModelSnapshot[], armedAtMs: number): void {
    law(this.#next() === undefined || !this.#fits(), "a model that fits was not loaded");
    const victim = this.#isShort() ? this.#victim() : undefined;
    law(victim === undefined || this.#view.runs(victim.model), "no room was made for a model that waits");
    if (this.#isShort() && victim === undefined) {
      const nextAtMs = Math.min(...this.#candidates().map((booked) => this.#mayGoAtMs(booked)));
      law(armedAtMs <= nextAtMs, "no timer is set for a model that waits");
    }
    for (const { model, stage, bytes } of this.#models) {
      const told = snapshot.find((each) => each.model === model);
      law(told?.stage === stage, `${model} is ${told?.stage}, the books say ${stage}`);
      law(told?.memoryBytes === (stage === "cold" ? 0 : bytes), `the memory of ${model} is told wrongly`);
    }
  }

  #of(model: string): BookedModel {
    const booked = this.#models.find((each) => each.model === model);
    if (booked === undefined) throw new Error(`${model} is in no books`);
    return booked;
  }

  #next(): BookedModel | undefined {
    const [next] = this.#models.filter(({ ticket }) => ticket < Infinity).toSorted((a, b) => a.ticket - b.ticket);
    return next;
  }

  #bytesIn(...stages: readonly ModelStage[]): number {
    return this.#models.filter(({ stage }) => stages.includes(stage)).reduce((sum, { bytes }) => sum + bytes, 0);
  }

  #isEmpty(...but: readonly ModelStage[]): boolean {
    return this.#models.every(({ stage }) => stage === "cold" || but.includes(stage));
  }

  #fits(): boolean {
    const held = this.#bytesIn("loading", "loaded", "unloading");
    return this.#isEmpty() || held + (this.#next()?.bytes ?? 0) <= this.#limits.memoryBytesMax;
  }

  /** Models have to go beyond those that do already. */
  #isShort(): boolean {
    const next = this.#next();
    const held = this.#models.filter(({ stage }) => stage !== "cold").length;
    if (this.#isEmpty("unloading") || (next === undefined && held === 1)) return false;
    return this.#bytesIn("loading", "loaded") + (next?.bytes ?? 0) > this.#limits.memoryBytesMax;
  }

  #candidates(): readonly BookedModel[] {
    const loaded = this.#models.filter(({ stage }) => stage === "loaded");
    const idle = loaded.filter(({ inUse }) => !inUse).toSorted((a, b) => a.usedAtMs - b.usedAtMs);
    return idle.length > 0 ? idle.slice(0, 1) : loaded.toSorted((a, b) => a.loadedAtMs - b.loadedAtMs);
  }

  #victim(): BookedModel | undefined {
    return this.#candidates().find((booked) => this.#mayGoAtMs(booked) <= this.#nowMs);
  }

  #mayGoAtMs({ isTurnOver, inUse, usedAtMs, loadedAtMs, loadMs }: BookedModel): number {
    if (!isTurnOver) return Infinity;
    const stayedAtMs = loadedAtMs + STAY_FACTOR * loadMs;
    return inUse ? stayedAtMs : Math.min(stayedAtMs, usedAtMs + loadMs);
  }
}
