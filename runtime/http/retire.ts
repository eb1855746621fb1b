import type { Server } from "node:http";
import { Server as SocketServer } from "node:net";
import type { Clock } from "../clock.ts";

/** The server looks for connections that have idled long enough once a second, and gives each a second more. */
const SLACK_MS = 3_000;

/**
 * Takes no more connections; what is open goes on. Resolves when none is left, or when all that idled must have ended, at `keepAliveMs`.
 *
 * A connection that idles is not closed before the time that its client was told: a request may be on its way, and would be lost.
 */
export async function retireServer(server: Server, options: { clock: Clock; keepAliveMs: number }): Promise<void> {
  const closed = new Promise<void>((resolve) => server.once("close", resolve));
  // `close` of an HTTP server would also end the connections that idle.
  SocketServer.prototype.close.call(server);
  const { clock, keepAliveMs } = options;
  await new Promise<void>((resolve) => {
    const timer = clock.setTimer(clock.nowMs() + keepAliveMs + SLACK_MS, resolve);
    void closed.then(() => {
      timer.clear();
      resolve();
    });
  });
}
