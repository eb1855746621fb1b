import { createRequire } from "node:module";
import { type DestinationStream, type Logger, pino } from "pino";

export interface LogOptions {
  readonly level: "trace" | "debug" | "info" | "warn" | "error" | "fatal" | "silent";
  /** "auto": pretty on a terminal, else one JSON object a line. */
  readonly format: "auto" | "json" | "pretty";
  /** Where lines go instead of standard error. */
  readonly destination?: DestinationStream;
}

export interface Log {
  readonly logger: Logger;
  /** Writes out what is held back and lets go of the process's events; what is logged later is lost. */
  close(): Promise<void>;
}

/** What is not yet written when the reader of a pipe stands still; beyond it lines are dropped, so that nothing waits for a log. */
const BUFFER_BYTES_MAX = 2 ** 20;

/** A log whose lines begin with the time and the level as a word. It is never handed a text, a vector or a key. */
export function createLog({ level, format, destination }: LogOptions): Log {
  const options = {
    level,
    base: null,
    formatters: { level: (label: string) => ({ level: label }) },
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
  };
  const isPretty = format === "pretty" || (format === "auto" && process.stderr.isTTY);
  if (destination !== undefined)
    return { logger: pino(options, isPretty ? pretty(destination) : destination), async close() {} };

  const stderr = pino.destination({ dest: 2, sync: false, maxLength: BUFFER_BYTES_MAX });
  // Whoever read the log has gone; the host goes on without one.
  stderr.on("error", () => {});
  const logger = pino(options, isPretty ? pretty(stderr) : stderr);
  return {
    logger,
    async close() {
      logger.level = "silent";
      stderr.flushSync();
      const closed = new Promise((resolve) => stderr.once("close", resolve));
      // Takes pino's listener from `process`; descriptor 2 stays open.
      stderr.destroy();
      await closed;
    },
  };
}

/** Loaded where it is used: a host that logs JSON starts without it. */
function pretty(destination: DestinationStream): DestinationStream {
  const load: (options: object) => DestinationStream = createRequire(import.meta.url)("pino-pretty");
  return load({ destination, translateTime: "SYS:HH:MM:ss.l", singleLine: true });
}
