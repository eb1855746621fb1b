import { afterEach } from "vitest";
import { systemClock } from "../../runtime/clock.ts";
import { type Listener, listen, type ListenOptions } from "../../runtime/http/listen.ts";
import type { Route } from "../../runtime/routing/route-table.ts";
import { createMemoryApp } from "./memory-app.ts";

export const BODY_BYTES_MAX = 100;

/** A free port, usual times, and bodies of every length. */
export const listenOptions: ListenOptions = {
  host: "127.0.0.1",
  port: 0,
  clock: systemClock,
  headersTimeoutMs: 10_000,
  bodyTimeoutMs: 30_000,
  writeTimeoutMs: 30_000,
  takesBody: () => true,
};

/** Opens servers on free ports over an embedder in memory; each is closed after its test. */
export function memoryServers(): (routes: readonly Route[], options?: Partial<ListenOptions>) => Promise<Listener> {
  let opened: Listener[] = [];
  afterEach(async () => {
    await Promise.all(opened.map((listener) => listener.close(0)));
    opened = [];
  });
  return async (routes, options = {}) => {
    const app = createMemoryApp({ routes, app: { bodyBytesMax: BODY_BYTES_MAX } });
    const listener = await listen((request) => app.fetch(request), {
      ...listenOptions,
      takesBody: (bytes) => bytes <= BODY_BYTES_MAX,
      ...options,
    });
    opened.push(listener);
    return listener;
  };
}

/** Status and error code of the one answer that came, and whether it ends the connection. */
export function answerIn(text: string): { status: number; code: string | undefined; closes: boolean } {
  return {
    status: Number(/^HTTP\/1\.1 (\d+)/.exec(text)?.[1]),
    code: /"code":"(\w+)"/.exec(text)?.[1],
    closes: /^connection: close\r$/im.test(text),
  };
}
