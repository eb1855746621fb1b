import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { endGroup } from "./children.mjs";

const POLL_MS = 200;
/** Taking over a dead set-up's lock is a few file operations; a claim older than this belongs to a dead one as well. */
const CLAIM_MS_MAX = 10_000;

/**
 * A process, told from a later one with the same pid by its start.
 *
 * @typedef {{ pid: number, start: string }} ProcessId
 * @typedef {ProcessId & { children: readonly ProcessId[] }} Holder
 * @typedef {{ setChildren(pids: readonly number[]): void, release(): void }} Lock
 */

/**
 * Waits until no other set-up works on this folder, then takes the lock. A lock whose holder is dead is taken over, and
 * programs that the dead one left running are ended first, since they would write into our files.
 *
 * @param {string} file
 * @param {AbortSignal} signal ends the wait
 * @param {(pid: number) => void} onWait is called once, if there is another one to wait for
 * @returns {Promise<Lock>}
 */
export async function takeLock(file, signal, onWait) {
  mkdirSync(path.dirname(file), { recursive: true });
  const self = { pid: process.pid, start: startOf(process.pid) ?? "" };
  let told = false;
  while (!tryCreate(file, JSON.stringify({ ...self, children: [] }))) {
    const holder = readHolder(file);
    if (holder !== undefined && !isAlive(holder)) takeOver(file, holder);
    else {
      signal.throwIfAborted();
      if (!told && holder !== undefined) onWait(holder.pid);
      told = told || holder !== undefined;
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }
  return {
    setChildren(pids) {
      const children = pids.map((pid) => ({ pid, start: startOf(pid) ?? "" }));
      writeAtomically(file, JSON.stringify({ ...self, children }));
    },
    release: () => rmSync(file, { force: true }),
  };
}

/**
 * Writes a file that is there whole or not at all.
 *
 * @param {string} file
 * @param {string} text
 */
export function writeAtomically(file, text) {
  const temporary = `${file}.${process.pid}`;
  writeFileSync(temporary, text);
  renameSync(temporary, file);
}

/**
 * @param {string} file
 * @param {string} text
 */
function tryCreate(file, text) {
  try {
    writeFileSync(file, text, { flag: "wx" });
    return true;
  } catch (error) {
    if (codeOf(error) === "EEXIST") return false;
    throw error;
  }
}

/**
 * Undefined where the file is gone, or not whole yet.
 *
 * @param {string} file
 * @returns {Holder | undefined}
 */
function readHolder(file) {
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    // Created by a set-up that was killed before it wrote: as good as dead, once it is not fresh.
    return Date.now() - modifiedAtMs(file) > CLAIM_MS_MAX ? { pid: 0, start: "", children: [] } : undefined;
  }
}

/**
 * Two that find the same dead holder must not both remove the lock: the second would remove the first one's new lock.
 *
 * @param {string} file
 * @param {Holder} dead
 */
function takeOver(file, dead) {
  const claim = `${file}.claim`;
  if (!tryCreate(claim, "")) {
    if (Date.now() - modifiedAtMs(claim) > CLAIM_MS_MAX) rmSync(claim, { force: true });
    return;
  }
  const holder = readHolder(file);
  if (holder?.pid === dead.pid && holder.start === dead.start) {
    for (const child of dead.children) if (isAlive(child)) endGroup(child.pid, "SIGKILL");
    rmSync(file, { force: true });
  }
  rmSync(claim, { force: true });
}

/** @param {ProcessId} id */
function isAlive({ pid, start }) {
  return pid > 0 && start !== "" && startOf(pid) === start;
}

/**
 * When a process started, in whatever form the system tells it; undefined when there is no such process.
 *
 * @param {number} pid
 * @returns {string | undefined}
 */
function startOf(pid) {
  try {
    if (process.platform !== "linux")
      return execFileSync("ps", ["-o", "lstart=", "-p", String(pid)], { encoding: "utf8" });
    // Field 22 of proc(5); the command name in field 2 may hold spaces and brackets.
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const [state, ...fields] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return state === "Z" ? undefined : fields[18];
  } catch {
    return undefined;
  }
}

/** @param {string} file */
function modifiedAtMs(file) {
  return statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? Date.now();
}

/** @param {unknown} error */
function codeOf(error) {
  return error instanceof Error && "code" in error ? error.code : undefined;
}
