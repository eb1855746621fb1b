const REDRAW_MS = 200;
/** Without a terminal: how often a line says that it goes on. */
const REMIND_MS = 10_000;
const MEGABYTE = 1_000_000;

/**
 * Tells a person how far the set-up is: one line for each part that is done, and on a terminal a last line that moves.
 *
 * @typedef {ReturnType<typeof createProgress>} Progress
 * @typedef {Pick<import("./parts/part.mjs").Part, "label" | "receivedBytes">} Step
 */

/** @param {Pick<NodeJS.WriteStream, "write" | "isTTY" | "columns">} out */
export function createProgress(out) {
  /** @type {Map<Step, number>} */
  const startedAtMs = new Map();
  const beganAtMs = performance.now();
  /** @type {ReturnType<typeof setInterval> | undefined} */
  let timer;
  let count = 0;
  let done = 0;

  /** @param {string} text */
  function line(text) {
    out.write(`${out.isTTY ? "\r\u001B[K" : ""}${text}\n`);
  }

  function showRunning() {
    const steps = [...startedAtMs].map(([step, atMs]) => `${step.label}${received(step)} ${secondsSince(atMs)}`);
    if (steps.length === 0) return;
    const text = `  [${done}/${count}] ${steps.join(" · ")}`;
    out.write(out.isTTY ? `\r\u001B[K${text.slice(0, (out.columns ?? 80) - 1)}` : `${text}\n`);
  }

  return {
    line,
    /** @param {readonly Step[]} steps what there is to do */
    begin(steps) {
      count = steps.length;
      line(`Setting up embedge: ${steps.map(({ label }) => label).join(", ")}.`);
      timer = setInterval(showRunning, out.isTTY ? REDRAW_MS : REMIND_MS);
    },
    /** @param {Step} step */
    started(step) {
      startedAtMs.set(step, performance.now());
    },
    /** @param {Step} step */
    finished(step) {
      const took = secondsSince(startedAtMs.get(step) ?? beganAtMs);
      startedAtMs.delete(step);
      done += 1;
      line(`  [${done}/${count}] ${step.label}: done in ${took}`);
    },
    /** @param {string} [last] */
    end(last) {
      clearInterval(timer);
      startedAtMs.clear();
      if (last !== undefined) line(`${last} (${secondsSince(beganAtMs)})`);
    },
  };
}

/** @param {Step} step */
function received({ receivedBytes }) {
  const bytes = receivedBytes?.() ?? 0;
  return bytes === 0 ? "" : `, ${Math.round(bytes / MEGABYTE)} MB received,`;
}

/** @param {number} atMs */
function secondsSince(atMs) {
  return `${((performance.now() - atMs) / 1_000).toFixed(1)} s`;
}
