import type { MessageBatch } from "../../functions/_types.ts";
import type { LocalBindings, LocalDeclared, OpenLocalBindings } from "./local-bindings.ts";

type Bindings = Readonly<Record<string, unknown>>;

/** What the wrangler configuration of a Worker declares, as far as it counts here. */
export interface Declared {
  /** Its variables. */
  readonly bindings: Bindings;
  /** The name under which a function finds `env.AI`; undefined: that one. */
  readonly ai: string | undefined;
  readonly crons: readonly string[];
  readonly local: LocalDeclared | undefined;
}

export const NOTHING_DECLARED: Declared = { bindings: {}, ai: undefined, crons: [], local: undefined };

export interface LiveBindingsOptions {
  readonly declared: Declared;
  readonly open: OpenLocalBindings;
  readonly deliver: (batch: MessageBatch) => Promise<void>;
  /** Told where those that are declared anew cannot be had. */
  readonly failed: (cause: unknown) => void;
}

/** Bindings for one run. */
export interface Lease {
  readonly bindings: Bindings;
  /** The run is over. */
  readonly release: () => void;
}

interface Opened {
  readonly source: LocalBindings;
  runs: number;
  isUp: boolean;
  isRetired: boolean;
}

/** The bindings of one Worker, which may be declared anew while it serves. */
export class LiveBindings {
  readonly #options: LiveBindingsOptions;
  readonly #closing = new Set<Promise<void>>();
  #declared: Declared;
  #opened: Opened | undefined;
  #latest: Bindings;
  #isStarted = false;

  constructor(options: LiveBindingsOptions) {
    this.#options = options;
    this.#declared = options.declared;
    this.#opened = this.#open();
    this.#latest = options.declared.bindings;
  }

  get declared(): Declared {
    return this.#declared;
  }

  /** Those known last; without the ones that live outside of this process before the first `acquire`. */
  get latest(): Bindings {
    return this.#latest;
  }

  /** Why there are none yet. */
  get problem(): string | undefined {
    return this.#opened === undefined || this.#opened.isUp ? undefined : "The bindings are being started.";
  }

  /** Bindings that stay usable until `release`; rejects where there are none to be had. */
  async acquire(): Promise<Lease> {
    const own = this.#opened;
    const { bindings: variables, local } = this.#declared;
    if (own === undefined) return { bindings: variables, release() {} };
    own.runs++;
    const release = (): void => {
      own.runs--;
      if (own.isRetired && own.runs === 0) this.#close(own);
    };
    try {
      // A variable of a binding's name counts for nothing, as for wrangler.
      const taken = local?.names ?? [];
      const free = Object.entries(variables).filter(([name]) => !taken.includes(name));
      const bindings = { ...(await own.source.get()), ...Object.fromEntries(free) };
      own.isUp = true;
      this.#latest = bindings;
      return { bindings, release };
    } catch (error) {
      release();
      throw error;
    }
  }

  /** Brings them up; rejects where that cannot be. */
  async start(): Promise<void> {
    this.#isStarted = true;
    const lease = await this.acquire();
    lease.release();
  }

  /** A run that has begun keeps the bindings that it has. */
  redeclare(declared: Declared): void {
    const isSame = sourceOf(declared) === sourceOf(this.#declared);
    this.#declared = declared;
    if (isSame) return;
    const old = this.#opened;
    this.#latest = declared.bindings;
    this.#opened = this.#open();
    if (this.#isStarted) this.start().catch(this.#options.failed);
    if (old === undefined) return;
    old.isRetired = true;
    if (old.runs === 0) this.#close(old);
  }

  /** Resolves when nothing of them is left. */
  async close(): Promise<void> {
    await Promise.all([this.#opened?.source.close(), ...this.#closing]);
  }

  #open(): Opened | undefined {
    const { local } = this.#declared;
    if (local === undefined) return undefined;
    const { open, deliver } = this.#options;
    return { source: open(local, deliver), runs: 0, isUp: false, isRetired: false };
  }

  #close({ source }: Opened): void {
    const closed = source.close().finally(() => this.#closing.delete(closed));
    this.#closing.add(closed);
  }
}

/** Equal for what asks for the same bindings. */
function sourceOf({ local }: Declared): string {
  return local === undefined ? "" : JSON.stringify([local.configFile, local.environment, local.text]);
}
