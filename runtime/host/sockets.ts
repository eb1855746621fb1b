import type { Clock } from "../clock.ts";
import type { Config } from "../config/schema.ts";
import type { AppError } from "../errors.ts";
import { type Listener, listen } from "../http/listen.ts";
import type { HostState } from "./host-state.ts";

/** What every door of a host has in common. */
export interface SocketRooms {
  readonly config: Config;
  readonly clock: Clock;
  readonly state: HostState;
  /** Whether a body of this length would be read now. */
  readonly takesBody: (bytes: number) => boolean;
  /** Told of a connection over `server.connectionsMax`. */
  readonly connectionDropped: () => void;
  /** Told of what never reached the functions, or failed behind them. */
  readonly connectionFailed: (error: AppError) => void;
}

export interface SocketAddress {
  readonly host: string;
  readonly port: number;
  /** A socket that this process inherited, in place of a new one. */
  readonly fd?: number | undefined;
}

/** The sockets that a host has opened. */
export class HostSockets {
  readonly #rooms: SocketRooms;
  readonly #listeners: Listener[] = [];

  constructor(rooms: SocketRooms) {
    this.#rooms = rooms;
  }

  /** Resolves with the URL; throws ListenError. */
  async open(answer: (request: Request) => Promise<Response>, address: SocketAddress): Promise<string> {
    const { config, clock, state, takesBody, connectionDropped, connectionFailed } = this.#rooms;
    const listener = await listen(answer, {
      ...config.server,
      ...address,
      clock,
      takesBody,
      onConnectionDropped: connectionDropped,
      isDraining: () => state.isDraining,
      onConnectionError: connectionFailed,
    });
    this.#listeners.push(listener);
    const { host, port } = listener;
    return `http://${host.includes(":") ? `[${host}]` : host}:${port}`;
  }

  /** Takes no more connections; resolves when those that are open have ended, or only requests run. */
  async retire(): Promise<void> {
    await Promise.all(this.#listeners.map((listener) => listener.retire()));
  }

  /** Lets running requests finish until then, one socket after the other: what runs behind the first may ask the next. */
  async finish(endAtMs: number): Promise<void> {
    const { clock } = this.#rooms;
    for (const listener of this.#listeners) await listener.close(Math.max(0, endAtMs - clock.nowMs()));
  }

  /** Ends every connection now. */
  async close(): Promise<void> {
    await Promise.all(this.#listeners.map((listener) => listener.close(0)));
  }
}
