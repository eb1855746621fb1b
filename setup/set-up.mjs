import { existsSync, mkdirSync, rmSync } from "node:fs";
import { createChildren } from "./children.mjs";
import { SetupError } from "./errors.mjs";
import { takeLock } from "./lock.mjs";
import { linkOwnNode, needsOwnNode, nodePart } from "./parts/node.mjs";
import { modelPart } from "./parts/model.mjs";
import { packagesPart } from "./parts/packages.mjs";
import {
  blasPart,
  cudaPart,
  environmentPart,
  fastPart,
  hubPackagesPart,
  pythonPackagesPart,
  pythonTestPackagesPart,
} from "./parts/python.mjs";
import { placesIn } from "./places.mjs";
import { openState } from "./state.mjs";

/** @typedef {import("./parts/part.mjs").Part} Part */

/**
 * How much is needed: "workers" is what the Python processes run on; "serve" adds what a clone needs to serve, "test" what
 * its tests need; "hub" is what pulls models.
 *
 * @typedef {"workers" | "serve" | "test" | "hub"} Level
 */

/**
 * What is installed when it is asked for, and stays until its folder is removed: "fast" computes faster on a CPU, "cuda" on
 * an NVIDIA GPU.
 *
 * @typedef {"fast" | "cuda"} Extra
 */

/** @type {readonly Extra[]} */
export const extraNames = ["fast", "cuda"];

/**
 * Puts everything in place that a level needs. What is in place stays; what is broken is made again.
 *
 * @param {{ root: string, state?: string, models?: string, level: Level, extras?: readonly Extra[], progress: import("./progress.mjs").Progress, signal: AbortSignal }} options
 */
export async function setUp({ root, state, models, level, extras = [], progress, signal }) {
  const places = placesIn(root, state, models);
  const ownNode = level !== "workers" && level !== "hub" && needsOwnNode(places);
  /** @type {import("./lock.mjs").Lock | undefined} */
  let lock;
  const children = createChildren((pids) => lock?.setChildren(pids));
  const context = { places, state: openState(places), run: children.run };
  const parts =
    level === "hub"
      ? [environmentPart(context), hubPackagesPart(context)]
      : allParts(context, { level, extras, ownNode });

  if (dueParts(parts).length > 0) {
    lock = await takeLock(places.lockFile, signal, (pid) => {
      progress.line(`Another set-up (process ${pid}) is at work here; waiting for it.`);
    });
    try {
      rmSync(places.temporary, { recursive: true, force: true });
      mkdirSync(places.temporary, { recursive: true });
      await makeDueParts(parts, { progress, signal, children });
    } finally {
      rmSync(places.temporary, { recursive: true, force: true });
      lock.release();
    }
  }
  if (ownNode) linkOwnNode(places);
}

/**
 * @param {import("./parts/part.mjs").Context} context
 * @param {{ level: Exclude<Level, "hub">, extras: readonly Extra[], ownNode: boolean }} options
 * @returns {readonly Part[]} each after those that it needs
 */
function allParts(context, { level, extras, ownNode }) {
  /** @param {Extra} name */
  const isWanted = (name) => extras.includes(name) || existsSync(context.places[name]);
  return [
    ...(level === "workers" ? [] : [packagesPart(context, level)]),
    environmentPart(context),
    pythonPackagesPart(context),
    modelPart(context),
    ...(ownNode ? [nodePart(context)] : []),
    ...(process.platform === "linux" ? [blasPart(context)] : []),
    ...(isWanted("fast") ? [fastPart(context)] : []),
    ...(isWanted("cuda") ? [cudaPart(context)] : []),
    ...(level === "test" ? [pythonTestPackagesPart(context), hubPackagesPart(context)] : []),
  ];
}

/**
 * The parts to make: those that say so, and those that live inside one of these.
 *
 * @param {readonly Part[]} parts each after those that it needs
 */
export function dueParts(parts) {
  /** @type {Part[]} */
  const due = [];
  for (const part of parts) {
    const isInside = due.some(({ name }) => name === part.inside);
    if (isInside || part.whyDue() !== undefined) due.push(part);
  }
  return due;
}

/**
 * Makes the due parts, side by side where they do not need each other. After a failure or an abort nothing goes on.
 *
 * @param {readonly Part[]} parts
 * @param {{ progress: import("./progress.mjs").Progress, signal: AbortSignal, children: import("./children.mjs").Children }} options
 */
async function makeDueParts(parts, { progress, signal, children }) {
  // Asked again under the lock: the set-up that we waited for may have done it all.
  const due = dueParts(parts);
  if (due.length === 0) return;
  progress.begin(due);
  /** @type {Map<string, Promise<void>>} */
  const made = new Map();
  for (const part of due) made.set(part.name, makePart(part));

  /** @param {Part} part */
  async function makePart(part) {
    for (const name of part.after) await made.get(name);
    signal.throwIfAborted();
    progress.started(part);
    await part.make();
    const why = part.whyDue();
    // Without this, a part that can never be right would be made at every start.
    if (why !== undefined) {
      throw new SetupError(`The ${part.label} part was made, and yet: ${why}.`, {
        mend: "Run the same command again; if it stays, please report it.",
      });
    }
    progress.finished(part);
  }

  const stop = () => void children.stop();
  signal.addEventListener("abort", stop, { once: true });
  try {
    await Promise.all(made.values());
  } finally {
    signal.removeEventListener("abort", stop);
    await children.stop();
    await Promise.allSettled(made.values());
  }
  progress.end("Set-up done.");
}
