import type { Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Clock } from "../clock.ts";

/** The reset by which a client that is gone answers the first probe has come by then. */
const PROBE_GAP_MS = 50;

/**
 * Answers a client that has closed its sending half (`printf … | nc -N`), and still notices soon when one is gone.
 *
 * The two look alike until something is written. An interim answer (102), which HTTP/1.1 clients must skip, makes the system of
 * a client that is gone refuse; the second one meets that refusal, the socket closes and the request's signal aborts.
 */
export function allowHalfOpen(
  server: Server,
  open: ReadonlyMap<Socket, ServerResponse | undefined>,
  clock: Clock,
): void {
  // Node's own switch for it, without a name in its documentation (lib/_http_server.js).
  Object.assign(server, { httpAllowHalfOpen: true });
  server.on("connection", (socket) => {
    socket.once("end", () => {
      const waiting = open.get(socket);
      if (waiting === undefined || waiting.writableEnded) return;
      // In mid-stream there is no way to ask, and who leaves then is far likelier to be gone.
      if (waiting.headersSent) socket.destroy();
      else probe(waiting);
      clock.setTimer(clock.nowMs() + PROBE_GAP_MS, () => probe(waiting));
    });
  });
}

function probe(outgoing: ServerResponse): void {
  const knowsInterim = outgoing.req.httpVersion === "1.1";
  if (knowsInterim && !outgoing.headersSent && !outgoing.destroyed) outgoing.writeProcessing();
}
