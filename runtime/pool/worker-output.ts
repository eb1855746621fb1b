import type { Clock } from "../clock.ts";
import type { OutputStream, PoolEvent } from "./pool-events.ts";

const LINE_BYTES_MAX = 8 * 1024;
const LOGGED_LINES_PER_SECOND_MAX = 100;
const KEPT_LINES_MAX = 20;
const KEPT_CHARACTERS_MAX = 64 * 1024;

/** Reads what a worker prints: logs up to 100 lines a second, keeps the last 20 lines (64 Ki characters at most). */
export interface WorkerOutput {
  write(stream: OutputStream, chunk: Uint8Array): void;
  /** Logs the unfinished lines and the count of those dropped; call it once, at the end. */
  finish(): void;
  /** The last lines, oldest first, escaped. */
  lastLines(): readonly string[];
}

export function createWorkerOutput(workerId: string, clock: Clock, log: (event: PoolEvent) => void): WorkerOutput {
  const kept: string[] = [];
  let keptCharacters = 0;
  let windowEndsAtMs = -Infinity;
  let loggedInWindow = 0;
  let dropped = 0;

  const reportDropped = (): void => {
    if (dropped > 0) log({ type: "worker_output_dropped", workerId, lines: dropped });
    dropped = 0;
  };

  const takeLine = (stream: OutputStream, line: string): void => {
    kept.push(line);
    keptCharacters += line.length;
    while (kept.length > KEPT_LINES_MAX || keptCharacters > KEPT_CHARACTERS_MAX) {
      keptCharacters -= kept.shift()?.length ?? 0;
    }
    const nowMs = clock.nowMs();
    if (nowMs >= windowEndsAtMs) {
      windowEndsAtMs = nowMs + 1_000;
      loggedInWindow = 0;
    }
    if (loggedInWindow >= LOGGED_LINES_PER_SECOND_MAX) {
      dropped++;
      return;
    }
    loggedInWindow++;
    reportDropped();
    log({ type: "worker_output", workerId, stream, line: escapeControls(line) });
  };

  const splitters = {
    stdout: createLineSplitter((line) => takeLine("stdout", line)),
    stderr: createLineSplitter((line) => takeLine("stderr", line)),
  };
  return {
    write: (stream, chunk) => splitters[stream].write(chunk),
    finish() {
      splitters.stdout.finish();
      splitters.stderr.finish();
      reportDropped();
    },
    lastLines: () => kept.map(escapeControls),
  };
}

/** Cuts bytes into lines; holds 8 KiB whatever arrives, and marks a line that was longer with "…". */
function createLineSplitter(onLine: (line: string) => void): { write(chunk: Uint8Array): void; finish(): void } {
  const line = Buffer.alloc(LINE_BYTES_MAX);
  let filled = 0;
  let wasCut = false;

  const endLine = (): void => {
    const text = line.toString("utf8", 0, filled) + (wasCut ? "…" : "");
    filled = 0;
    wasCut = false;
    onLine(text);
  };

  return {
    write(chunk) {
      for (let start = 0; start < chunk.length;) {
        const newline = chunk.indexOf(0x0a, start);
        const end = newline === -1 ? chunk.length : newline;
        const taken = Math.min(end - start, LINE_BYTES_MAX - filled);
        line.set(chunk.subarray(start, start + taken), filled);
        filled += taken;
        wasCut ||= taken < end - start;
        if (newline === -1) return;
        endLine();
        start = newline + 1;
      }
    },
    finish() {
      if (filled > 0) endLine();
    },
  };
}

/** A terminal or a log reader must not act on what a worker prints: control, format and separator characters become `\u{1b}`. */
function escapeControls(line: string): string {
  return line.replaceAll(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu,
    (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`,
  );
}
