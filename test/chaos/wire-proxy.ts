/**
 * Stands between a host and a real Python worker as the worker's process, and spoils the wire on a signal:
 * SIGUSR2 writes garbage, SIGHUP half an answer and the end, SIGALRM swallows every answer from now on.
 */
import { spawn } from "node:child_process";
import { Socket } from "node:net";

const [python = "", ...args] = process.argv.slice(2);
const host = new Socket({ fd: 3, readable: true, writable: true });
const worker = spawn(python, args, { stdio: ["ignore", "inherit", "inherit", "pipe"] });
const wire = worker.stdio[3] as Socket;
let spoil: "nothing" | "half" | "all" = "nothing";

host.pipe(wire);
wire.on("data", (chunk: Buffer) => {
  if (spoil === "nothing") host.write(chunk);
  if (spoil === "half") host.end(chunk.subarray(0, chunk.length / 2));
});
process.on("SIGUSR2", () => host.write(Buffer.alloc(4_096, "\u00fegarbage\u0000", "latin1")));
process.on("SIGHUP", () => {
  spoil = "half";
});
process.on("SIGALRM", () => {
  spoil = "all";
});
for (const stream of [host, wire]) {
  stream.on("error", () => {});
  // One end is gone: the other has nobody to talk to.
  stream.on("close", () => process.exit(1));
}
worker.on("exit", (code) => process.exit(code ?? 1));
