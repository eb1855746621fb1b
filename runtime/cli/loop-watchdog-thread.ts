/** The thread of loop-watchdog.ts. */
import { writeSync } from "node:fs";
import { type Debugger, Session } from "node:inspector";
import { fileURLToPath } from "node:url";
import { workerData } from "node:worker_threads";

const LOOK_MS = 1_000;
/** Looks in a row without a beat: not a time, which goes on while the whole process is stopped. */
const LOOKS_MAX = 5;
const STDERR = 2;

const { beats, isSupervised } = workerData as { readonly beats: Int32Array; readonly isSupervised: boolean };
const parent = process.ppid;
let last = -1;
let looks = 0;

setInterval(() => {
  const now = Atomics.load(beats, 0);
  looks = now === last ? looks + 1 : 0;
  last = now;
  // What loops does not hear that the process above it has ended.
  if (isSupervised && looks > 1 && process.ppid !== parent) process.kill(process.pid, "SIGKILL");
  if (looks === LOOKS_MAX) tellPlace();
}, LOOK_MS);

/** Stops the main thread for a moment, as a debugger does, and lets it go on. */
function tellPlace(): void {
  tell(`Nothing has been answered for ${(LOOKS_MAX * LOOK_MS) / 1_000} s: some code does not return.`);
  const session = new Session();
  session.connectToMainThread();
  const files = new Map<string, string>();
  session.on("Debugger.scriptParsed", ({ params }) => files.set(params.scriptId, params.url));
  session.once("Debugger.paused", ({ params }) => {
    const places = params.callFrames.map((frame) => placeOf(frame, files)).filter((place) => place !== "");
    tell(`It runs ${places.join(", called from ")}. Only the end of this process ends it: Ctrl-C twice.`);
    session.post("Debugger.resume", () => session.disconnect());
  });
  session.post("Debugger.enable");
  session.post("Debugger.pause");
}

/** `/project/functions/loops.ts:3`; nothing of Node's own. */
function placeOf({ location }: Debugger.CallFrame, files: ReadonlyMap<string, string>): string {
  const url = files.get(location.scriptId) ?? "";
  return url.startsWith("file:") ? `${fileURLToPath(url)}:${location.lineNumber + 1}` : "";
}

function tell(text: string): void {
  writeSync(STDERR, `${text}\n`);
}
