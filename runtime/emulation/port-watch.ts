import { connect, type Socket } from "node:net";
import type { Clock } from "../clock.ts";

/** Knows whether a server listens, without asking it anything. */
export interface PortWatch {
  /** From now on this one; undefined: none. */
  follow(target: URL | undefined): void;
  isListening(): boolean;
  /** The server, as soon as it listens; undefined where it does not in `limitMs`. */
  untilListening(limitMs: number): Promise<URL | undefined>;
  /** Looks at once: somebody has met a closed door. */
  check(): void;
  /** Calls `down` whenever a server that is followed has not listened for `afterMs`. */
  onDown(afterMs: number, down: () => void): void;
}

const RETRY_MS = 50;

/** Holds one idle connection: a server that dies closes it at once. A server that merely tires of it takes the next. */
export function watchPort(clock: Clock): PortWatch {
  return new HeldConnection(clock);
}

class HeldConnection implements PortWatch {
  readonly #clock: Clock;
  #target: URL | undefined;
  #socket: Socket | undefined;
  #retry: { clear(): void } | undefined;
  #isListening = false;
  #waiting: (() => void)[] = [];
  #downSinceMs = 0;
  #down: { readonly afterMs: number; readonly call: () => void } | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  follow(target: URL | undefined): void {
    this.#target = target;
    this.#setDown();
    this.#look();
  }

  isListening(): boolean {
    return this.#isListening;
  }

  async untilListening(limitMs: number): Promise<URL | undefined> {
    if (!this.#isListening) {
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve);
        this.#clock.setTimer(this.#clock.nowMs() + limitMs, resolve);
      });
    }
    return this.#isListening ? this.#target : undefined;
  }

  check(): void {
    if (!this.#isListening) return;
    this.#setDown();
    this.#look();
  }

  onDown(afterMs: number, call: () => void): void {
    this.#down = { afterMs, call };
  }

  #look(): void {
    this.#retry?.clear();
    this.#socket?.destroy();
    if (this.#target === undefined) return;
    const own = connect({ host: this.#target.hostname, port: Number(this.#target.port) });
    this.#socket = own;
    own.unref();
    own.once("connect", () => {
      if (own === this.#socket) this.#setUp();
    });
    own.on("error", () => {
      if (own === this.#socket) this.#miss();
    });
    own.once("close", (hadError) => {
      if (own === this.#socket && !hadError) this.#look();
    });
    // Without a reader its end would not be seen.
    own.resume();
  }

  #setUp(): void {
    this.#isListening = true;
    for (const resolve of this.#waiting) resolve();
    this.#waiting = [];
  }

  #setDown(): void {
    this.#isListening = false;
    this.#downSinceMs = this.#clock.nowMs();
  }

  #miss(): void {
    if (this.#isListening) this.#setDown();
    const nowMs = this.#clock.nowMs();
    if (this.#down !== undefined && nowMs - this.#downSinceMs >= this.#down.afterMs) {
      this.#downSinceMs = nowMs;
      this.#down.call();
    }
    this.#retry = this.#clock.setTimer(nowMs + RETRY_MS, () => this.#look());
  }
}
