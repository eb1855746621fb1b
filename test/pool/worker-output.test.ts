import { describe, expect, test } from "vitest";

import type { PoolEvent } from "../../runtime/pool/pool-events.ts";
import { createWorkerOutput, type WorkerOutput } from "../../runtime/pool/worker-output.ts";
import { createVirtualClock, type VirtualClock } from "../doubles/virtual-clock.ts";

describe("what a worker prints", () => {
  test("is logged line by line, however it is cut, each stream for itself", () => {
    const { print, events } = given();
    print("stderr", "one\ntw");
    print("stdout", "out\n");
    print("stderr", "o\n\nthree");
    expect(linesOf(events)).toEqual(["stderr one", "stdout out", "stderr two", "stderr "]);
  });

  test("is logged to its end when the worker is gone", () => {
    const { print, output, events } = given();
    print("stderr", "no newline");
    output.finish();
    expect(linesOf(events)).toEqual(["stderr no newline"]);
  });

  test("is read as UTF-8 across chunks", () => {
    const { output, events } = given();
    const bytes = Buffer.from("漢字\n");
    for (const byte of bytes) output.write("stdout", Uint8Array.of(byte));
    expect(linesOf(events)).toEqual(["stdout 漢字"]);
  });

  test("reaches neither terminal nor log reader as control, format or separator characters (W35)", () => {
    const { print, events } = given();
    print("stderr", "\u001b[31m red\r \t \u202e \u2028 \u0000\n");
    expect(linesOf(events)).toEqual(["stderr \\u{1b}[31m red\\u{d} \\u{9} \\u{202e} \\u{2028} \\u{0}"]);
  });

  test("is cut at 8 KiB a line (W35)", () => {
    const { print, events } = given();
    for (let written = 0; written < 50; written++) print("stderr", "x".repeat(1_000));
    print("stderr", "\nnext\n");
    expect(linesOf(events)).toEqual([`stderr ${"x".repeat(8_192)}…`, "stderr next"]);
  });

  test("is logged at 100 lines a second, and the rest is counted (W34)", () => {
    const { print, clock, events } = given();
    print("stderr", "line\n".repeat(250));
    expect(linesOf(events)).toHaveLength(100);
    clock.advance(999);
    print("stderr", "line\n");
    clock.advance(1);
    print("stderr", "after\n");
    expect(events.slice(100)).toEqual([
      { type: "worker_output_dropped", workerId: "w", lines: 151 },
      { type: "worker_output", workerId: "w", stream: "stderr", line: "after" },
    ]);
  });

  test("that was dropped last is counted at the end", () => {
    const { print, output, events } = given();
    print("stderr", "line\n".repeat(101));
    output.finish();
    expect(events.at(-1)).toEqual({ type: "worker_output_dropped", workerId: "w", lines: 1 });
  });

  test("is kept for people: the last 20 lines, logged or not", () => {
    const { print, output } = given();
    print("stderr", Array.from({ length: 300 }, (_, at) => `line ${at}\n`).join(""));
    expect(output.lastLines()).toEqual(Array.from({ length: 20 }, (_, at) => `line ${280 + at}`));
  });

  test("is kept up to 64 Ki characters", () => {
    const { print, output } = given();
    print("stderr", `${"x".repeat(8_000)}\n`.repeat(20));
    expect(output.lastLines()).toHaveLength(8);
  });
});

interface Given {
  readonly output: WorkerOutput;
  readonly clock: VirtualClock;
  readonly events: readonly PoolEvent[];
  print(stream: "stdout" | "stderr", text: string): void;
}

function given(): Given {
  const clock = createVirtualClock();
  const events: PoolEvent[] = [];
  const output = createWorkerOutput("w", clock, (event) => events.push(event));
  return { output, clock, events, print: (stream, text) => output.write(stream, Buffer.from(text)) };
}

function linesOf(events: readonly PoolEvent[]): readonly string[] {
  return events.flatMap((event) => (event.type === "worker_output" ? `${event.stream} ${event.line}` : []));
}
