/**
 * A worker without a model, run as a child process: speaks the frames of protocol 1 and, on a magic text, breaks them.
 *
 * `fake.json` in its model folder (`FakeWorkerScript`) says how it starts; `fault:<name>` as a text of a batch says what it does with that batch.
 */
import { spawn } from "node:child_process";
import { appendFileSync, readFileSync, writeSync } from "node:fs";
import { Socket } from "node:net";
import { join } from "node:path";
import { parseArgs } from "node:util";

import { createFrameDecoder, encodeFrame, type FrameHead } from "../../runtime/pool/frames.ts";
import type { BatchRequest, ModelInfo, Pooling, TextOptions } from "../../runtime/pool/worker-pool.ts";
import { FAKE_DIMENSIONS, fakeAnswer, fakeModelInfo } from "./fake-answer.ts";

export interface FakeWorkerScript {
  readonly start?:
    | "ready"
    | "never_ready"
    | "exit_0"
    | "exit_1"
    | "segfault"
    | "illegal_instruction"
    | "start_failed"
    | "ready_twice"
    | "garbage";
  readonly protocol?: number;
  readonly model?: Partial<ModelInfo>;
  /** Only the first so many processes start as the lines above say, the later ones are healthy. Default: all. */
  readonly badStarts?: number;
  /** Lines on stderr before anything else. */
  readonly stderr?: readonly string[];
  /** Ends on nothing but SIGKILL: not on SIGTERM, and not when fd 3 ends. */
  readonly isStubborn?: boolean;
}

interface EmbedHead extends FrameHead, TextOptions {
  readonly id: number;
  readonly nonce: string;
  readonly pooling: Pooling | "default";
  readonly normalize: boolean;
}

const { values: flags } = parseArgs({
  strict: false,
  options: { model: { type: "string" }, name: { type: "string" } },
});
const folder = String(flags.model);
const script: FakeWorkerScript = JSON.parse(readFileSync(join(folder, "fake.json"), "utf8"));
appendFileSync(join(folder, "starts"), `${process.pid}\n`);
const startsBefore = readFileSync(join(folder, "starts"), "utf8").split("\n").indexOf(String(process.pid));
const { start = "ready", protocol = 1, model = {} } = startsBefore < (script.badStarts ?? Infinity) ? script : {};

const pipe = new Socket({ fd: 3, readable: true, writable: true });
const readyFrame = encodeFrame({
  type: "ready",
  protocol,
  pid: process.pid,
  info: fakeModelInfo({ model: String(flags.name), ...model }),
});

function answer(
  head: EmbedHead,
  request: BatchRequest,
  changes: { head?: object; body?: Uint8Array } = {},
): Uint8Array {
  const { vectors, ...rest } = fakeAnswer(request);
  const { rows, dimensions, data } = vectors;
  const result = { type: "result", id: head.id, nonce: head.nonce, rows, dimensions, ...rest, ...changes.head };
  return encodeFrame(result, changes.body ?? new Uint8Array(data.buffer));
}

/** The answer with another first row. */
function spoil(head: EmbedHead, request: BatchRequest, values: (row: Float32Array) => Float32Array): Uint8Array {
  const { data } = fakeAnswer(request).vectors;
  data.set(values(data.slice(0, FAKE_DIMENSIONS)));
  return answer(head, request, { body: new Uint8Array(data.buffer) });
}

type Fault = (head: EmbedHead, request: BatchRequest, argument: string) => void;

const faults: Readonly<Record<string, Fault>> = {
  exit: (_head, _request, code) => process.exit(Number(code || 0)),
  stall: () => {},
  hold: (head, request, ms) => setTimeout(() => pipe.write(answer(head, request)), Number(ms)),
  /** Answers when the process gets SIGUSR2. */
  until_signal: (head, request) => process.once("SIGUSR2", () => pipe.write(answer(head, request))),
  half_frame: (head, request) => pipe.write(answer(head, request).subarray(0, 40)),
  half_frame_eof(head, request) {
    keepAlive();
    pipe.write(answer(head, request).subarray(0, 40), () => pipe.destroy());
  },
  garbage: () => pipe.write(Buffer.alloc(1 << 20, "\u00ff\u0000gar\u0001bage", "latin1")),
  text: () => pipe.write("Downloading the model..."),
  oversized: (head, request) => {
    const frame = Buffer.from(answer(head, request));
    frame.writeUInt32LE(0xffff_ffff, 4);
    pipe.write(frame);
  },
  nan_row_unmarked: (head, request) => pipe.write(spoil(head, request, (row) => row.fill(Number.NaN, 3, 4))),
  zero_row: (head, request) => pipe.write(spoil(head, request, (row) => row.fill(0))),
  wrong_norm: (head, request) => pipe.write(spoil(head, request, (row) => row.map((value) => value * 1.01))),
  wrong_rows: (head, request) => pipe.write(answer(head, { ...request, texts: request.texts.slice(1) })),
  wrong_dimensions: (head, request) => pipe.write(answer(head, request, { head: { dimensions: FAKE_DIMENSIONS - 1 } })),
  short_body: (head, request) => pipe.write(answer(head, request, { body: new Uint8Array(4) })),
  wrong_nonce: (head, request) => pipe.write(answer({ ...head, nonce: "0000000000000000" }, request)),
  wrong_pooling: (head, request) => pipe.write(answer(head, request, { head: { pooling: "last_token" } })),
  not_json: () => pipe.write(Buffer.from("\u0003\0\0\0\0\0\0\0[[[", "latin1")),
  dribble(head, request) {
    for (const byte of answer(head, request)) writeAll(3, Uint8Array.of(byte));
  },
  duplicate: (head, request) => pipe.write(Buffer.concat([answer(head, request), answer(head, request)])),
  unknown_id(head, request, times) {
    for (let sent = 0; sent < Number(times || 1); sent++) pipe.write(answer({ ...head, id: head.id + 1_000 }, request));
    pipe.write(answer(head, request));
  },
  error: ({ id, nonce }) =>
    pipe.write(encodeFrame({ type: "error", id, nonce, message: "the fake refuses this batch" })),
  ready_again: () => pipe.write(readyFrame),
  flood(head, request, stream) {
    const block = Buffer.alloc(1 << 20, "flood flood flood flood flood flood\n");
    for (let mebibytes = 0; mebibytes < 32; mebibytes++) writeAll(stream === "stdout" ? 1 : 2, block);
    pipe.write(answer(head, request));
  },
  long_line(head, request) {
    writeAll(2, Buffer.alloc(4 << 20, "x"));
    writeAll(2, Buffer.from("\n\u001b[31mred\u001b[0m\n"));
    pipe.write(answer(head, request));
  },
  environment(head, request) {
    for (const [name, value] of Object.entries(process.env)) writeAll(2, Buffer.from(`${name}=${value}\n`));
    writeAll(2, Buffer.from("end of environment\n"));
    pipe.write(answer(head, request));
  },
  /** Starts a process that holds stdout, stderr and fd 3, and prints its pid. */
  grandchild(head, request) {
    const child = spawn("sleep", ["999"], { stdio: ["ignore", "inherit", "inherit", 3] });
    writeAll(2, Buffer.from(`grandchild ${child.pid}\n`));
    pipe.write(answer(head, request));
  },
  /** Says how much memory it holds. */
  resident: (head, request, bytes) => pipe.write(answer(head, request, { head: { residentBytes: Number(bytes) } })),
  deaf(head, request) {
    pipe.pause();
    pipe.write(answer(head, request));
  },
};

function embed(head: EmbedHead, body: Uint8Array): void {
  const texts: string[] = JSON.parse(Buffer.from(body).toString());
  const { pooling, normalize, promptName, prompt, dimensions } = head;
  const request = { model: "", pooling, normalize, promptName, prompt, dimensions, texts };
  const [, name = "", argument = ""] = texts.find((text) => text.startsWith("fault:"))?.split(":") ?? [];
  const fault = faults[name];
  if (fault === undefined) pipe.write(answer(head, request));
  else fault(head, request, argument);
}

function begin(): void {
  for (const line of script.stderr ?? []) writeAll(2, Buffer.from(`${line}\n`));
  switch (start) {
    case "ready":
      pipe.write(readyFrame);
      return;
    case "never_ready":
      return;
    case "ready_twice":
      pipe.write(Buffer.concat([readyFrame, readyFrame]));
      return;
    case "garbage":
      pipe.write(Buffer.alloc(1 << 20, 0xab));
      return;
    case "start_failed":
      pipe.write(encodeFrame({ type: "start_failed", code: "bad_model", message: "there is no config.json" }), () =>
        process.exit(64),
      );
      return;
    case "illegal_instruction":
      process.kill(process.pid, "SIGILL");
      return;
    case "segfault":
      process.kill(process.pid, "SIGSEGV");
      return;
    case "exit_0":
    case "exit_1":
      process.exit(start === "exit_0" ? 0 : 1);
  }
}

/** Blocks until all is written, as a C library that prints would. */
function writeAll(fd: 1 | 2 | 3, bytes: Uint8Array): void {
  for (let written = 0; written < bytes.length;) {
    try {
      written += writeSync(fd, bytes, written);
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "EAGAIN")) throw error;
    }
  }
}

function keepAlive(): void {
  setInterval(() => {}, 60_000);
}

const decode = createFrameDecoder(
  () => ({ headBytesMax: 1 << 16, bodyBytesMax: 1 << 28 }),
  ({ head, body }) => {
    if (head.type === "ping") pipe.write(encodeFrame({ type: "pong", id: head["id"] }));
    else embed(head as EmbedHead, body);
  },
);
pipe.on("data", decode);
pipe.on("error", () => {});
if (script.isStubborn) {
  keepAlive();
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, () => {});
} else {
  pipe.on("end", () => process.exit(0));
}
begin();
