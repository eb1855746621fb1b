import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";

/** Requests of one connection that may be at work at one time: their answers are held back until their turn comes. */
const AHEAD_MAX = 16;

type Listener = (incoming: IncomingMessage, outgoing: ServerResponse) => void;

/** The requests of one connection. */
interface Line {
  atWork: number;
  /** By us. */
  isPaused: boolean;
  readonly waiting: (() => void)[];
}

/**
 * The listener, for at most 16 requests of one connection at one time. Those behind them wait, and meanwhile nothing more is
 * read from it; what has come with them in one piece is parsed, which bounds their number.
 */
export function limitPipelining(listener: Listener): Listener {
  const lines = new WeakMap<Socket, Line>();
  return (incoming, outgoing) => {
    const { socket } = incoming;
    const line = lines.get(socket) ?? openLine(socket);
    lines.set(socket, line);
    const start = (): void => {
      line.atWork += 1;
      outgoing.once("close", () => {
        line.atWork -= 1;
        line.waiting.shift()?.();
        if (!line.isPaused || line.waiting.length > 0) return;
        line.isPaused = false;
        socket.resume();
      });
      listener(incoming, outgoing);
    };
    if (line.atWork < AHEAD_MAX) {
      start();
      return;
    }
    line.waiting.push(start);
    line.isPaused = true;
    socket.pause();
  };
}

function openLine(socket: Socket): Line {
  const line: Line = { atWork: 0, isPaused: false, waiting: [] };
  // Node itself resumes the socket whenever somebody reads or throws away a body.
  socket.on("resume", () => {
    if (line.isPaused) socket.pause();
  });
  socket.once("close", () => line.waiting.splice(0));
  return line;
}
