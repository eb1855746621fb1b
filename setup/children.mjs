import { spawn } from "node:child_process";
import { explainFailure, SetupError } from "./errors.mjs";

const OUTPUT_LINES_MAX = 20;
/** Time that a child has to end by itself when the set-up is stopped. */
const GRACE_MS = 2_000;

/**
 * Runs programs and ends all of them, with their own children, when the set-up stops.
 *
 * @typedef {ReturnType<typeof createChildren>} Children
 * @typedef {{ step: string, cwd?: string, env?: NodeJS.ProcessEnv }} RunOptions `step`: what it is for, as the start of a sentence
 */

/** @param {(pids: readonly number[]) => void} onChange is told the process groups that are alive, whenever they change */
export function createChildren(onChange) {
  /** @type {Map<number, Promise<void>>} */
  const alive = new Map();
  let stopping = false;

  /**
   * Resolves with the standard output; rejects with a SetupError that holds the last lines.
   *
   * @param {string} program
   * @param {readonly string[]} args
   * @param {RunOptions} options
   * @returns {Promise<string>}
   */
  function run(program, args, { step, cwd, env = process.env }) {
    if (stopping) return Promise.reject(new SetupError(`${step} was stopped.`));
    // A process group of its own, so that what npm and pip start ends with them.
    const child = spawn(program, args, { cwd, env, stdio: ["ignore", "pipe", "pipe"], detached: true });
    let stdout = "";
    let all = "";
    child.stdout.setEncoding("utf8").on("data", (chunk) => {
      stdout += chunk;
      all = (all + chunk).slice(-20_000);
    });
    child.stderr.setEncoding("utf8").on("data", (chunk) => {
      all = (all + chunk).slice(-20_000);
    });
    const result = new Promise((resolve, reject) => {
      child.once("error", (error) => reject(explainFailure(step, [String(error)])));
      child.once("close", (code, signal) => {
        if (code === 0) return resolve(stdout);
        const lines = all.split("\n").filter((line) => line.trim() !== "");
        if (lines.length === 0) lines.push(`${program} ended with ${signal ?? `exit code ${code}`}`);
        reject(explainFailure(step, lines.slice(-OUTPUT_LINES_MAX)));
      });
    });
    const { pid } = child;
    if (pid !== undefined) {
      const ended = new Promise((resolve) => {
        child.once("exit", resolve);
      }).then(() => {
        alive.delete(pid);
        onChange([...alive.keys()]);
      });
      alive.set(pid, ended);
      onChange([...alive.keys()]);
    }
    return result;
  }

  /** Ends every child; resolves when none is left. Nothing can be run afterwards. */
  async function stop() {
    stopping = true;
    const ended = Promise.all(alive.values());
    for (const pid of alive.keys()) endGroup(pid, "SIGTERM");
    const timer = setTimeout(() => {
      for (const pid of alive.keys()) endGroup(pid, "SIGKILL");
    }, GRACE_MS);
    await ended;
    clearTimeout(timer);
  }

  return { run, stop };
}

/**
 * Sends a signal to a process group that may be gone.
 *
 * @param {number} pid
 * @param {NodeJS.Signals} signal
 */
export function endGroup(pid, signal) {
  try {
    process.kill(-pid, signal);
  } catch {
    // ESRCH: it has ended by itself.
  }
}
