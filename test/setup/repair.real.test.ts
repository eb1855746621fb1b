import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
} from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";

/**
 * One copy of what the set-up reads, taken through a life of accidents: each test starts from what the one before left.
 */
const project = path.join(import.meta.dirname, "../..");
const root = mkdtempSync(path.join(os.tmpdir(), "embedge-repair-"));
const at = (...parts: readonly string[]): string => path.join(root, ...parts);

const TIMEOUT_MS = 300_000;

beforeAll(() => {
  for (const name of ["package.json", "package-lock.json", ".npmrc", "setup", "python"]) {
    cpSync(path.join(project, name), at(name), { recursive: true, filter: (file) => !file.includes("__pycache__") });
  }
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

function start(): ChildProcess {
  return spawn(process.execPath, [at("setup/main.mjs"), "serve"], { cwd: root, stdio: ["ignore", "ignore", "pipe"] });
}

interface Outcome {
  readonly exitCode: number | null;
  readonly stderr: string;
}

async function setUp(): Promise<Outcome> {
  const child = start();
  let stderr = "";
  child.stderr?.on("data", (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  const [exitCode] = (await once(child, "close")) as [number | null];
  return { exitCode, stderr };
}

/** What it said, if it failed. */
function failure({ exitCode, stderr }: Outcome): string {
  return exitCode === 0 ? "" : stderr;
}

/** The parts that were made, as the progress names them. */
function madeBy({ stderr }: Outcome): readonly string[] {
  return [...stderr.matchAll(/^ {2}\[\d+\/\d+\] (.+): done in/gm)]
    .map(([, label = ""]) => label.split(" (")[0] ?? "")
    .toSorted();
}

const everyPart = [
  ...(process.platform === "linux" ? ["BLAS"] : []),
  "Python environment",
  "Python packages",
  "model all-MiniLM-L6-v2",
  "npm packages",
].toSorted();

/** The process ids that the lock names: the set-up's programs. */
async function programsOf(child: ChildProcess): Promise<readonly number[]> {
  while (child.exitCode === null) {
    const text = existsSync(at(".embedge/setup.lock")) ? readFileSync(at(".embedge/setup.lock"), "utf8") : "";
    const pids = [...text.matchAll(/"pid":(\d+)/g)].map(([, pid]) => Number(pid)).filter((pid) => pid !== child.pid);
    if (pids.length > 0) return pids;
    await new Promise(setImmediate);
  }
  throw new Error("the set-up ended before it started a program");
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    // A zombie has ended; nobody has asked for its exit code yet.
    return process.platform !== "linux" || !readFileSync(`/proc/${pid}/stat`, "utf8").includes(") Z ");
  } catch {
    return false;
  }
}

test("Ctrl-C ends every program that the set-up started: 130", { timeout: TIMEOUT_MS }, async () => {
  const child = start();
  const programs = await programsOf(child);
  child.kill("SIGINT");
  expect(await once(child, "exit")).toEqual([130, null]);
  expect(programs.filter(isRunning)).toEqual([]);
  expect(existsSync(at(".embedge/setup.lock"))).toBe(false);
});

test("after a set-up that was killed, two at once put everything in place, once", { timeout: TIMEOUT_MS }, async () => {
  const killed = start();
  const programs = await programsOf(killed);
  killed.kill("SIGKILL");
  await once(killed, "exit");

  const outcomes = await Promise.all([setUp(), setUp()]);
  expect(outcomes.map(failure)).toEqual(["", ""]);
  expect(outcomes.flatMap(madeBy).toSorted()).toEqual(everyPart);
  expect(
    outcomes.map(({ stderr }) => /Another set-up \(process \d+\) is at work/.test(stderr)).filter(Boolean),
  ).toHaveLength(1);
  expect(programs.filter(isRunning)).toEqual([]);
  expect(readdirSync(at(".embedge")).filter((name) => name.startsWith("setup."))).toEqual(["setup.json"]);
});

test("a second start finds everything in place and says nothing", { timeout: TIMEOUT_MS }, async () => {
  expect(await setUp()).toEqual({ exitCode: 0, stderr: "" });
});

test("what was deleted or cut short is made again, and nothing else", { timeout: TIMEOUT_MS }, async () => {
  rmSync(at("node_modules/hono"), { recursive: true });
  truncateSync(at(".embedge/models/all-MiniLM-L6-v2/model.safetensors"), 1_000);
  rmSync(at(".embedge/blas"), { recursive: true, force: true });
  const outcome = await setUp();
  expect(failure(outcome)).toBe("");
  expect(madeBy(outcome)).toEqual(everyPart.filter((label) => !label.startsWith("Python")));
  expect(existsSync(at("node_modules/hono/package.json"))).toBe(true);
  expect(statSync(at(".embedge/models/all-MiniLM-L6-v2/model.safetensors")).size).toBe(90_868_376);
});

test("an environment whose Python has gone is made again with its packages", { timeout: TIMEOUT_MS }, async () => {
  rmSync(at(".embedge/python/bin/python"));
  symlinkSync("/nowhere/python3", at(".embedge/python/bin/python"));
  const outcome = await setUp();
  expect(failure(outcome)).toBe("");
  expect(madeBy(outcome)).toEqual(["Python environment", "Python packages"]);
});
