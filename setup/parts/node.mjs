import { cpSync, lstatSync, mkdirSync, readlinkSync, realpathSync, rmSync, symlinkSync } from "node:fs";
import path from "node:path";
import { SetupError } from "../errors.mjs";
import { keyOf } from "../state.mjs";
import { npmCommand } from "./packages.mjs";

/** Where the system's Node cannot run TypeScript unbuilt, this one is installed in the project's folder. */
const NODE_VERSION = "24.21.0";

/**
 * Whether this Node runs TypeScript files without a flag.
 *
 * @param {string} version as in `process.versions.node`
 */
export function runsTypeScript(version) {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  return major >= 24 || (major === 23 && minor >= 6) || (major === 22 && minor >= 18);
}

/**
 * Whether the project needs a Node of its own. The one that runs now may be that very one, through the link in
 * node_modules/.bin: then the system's is too old still.
 *
 * @param {import("../places.mjs").Places} places
 */
export function needsOwnNode(places) {
  const isOwn = realpathSync(process.execPath).startsWith(realpathOr(places.node24) + path.sep);
  return isOwn || !runsTypeScript(process.versions.node);
}

/**
 * @param {import("./part.mjs").Context} context
 * @returns {import("./part.mjs").Part}
 */
export function nodePart({ places, state, run }) {
  const lockDir = path.join(places.root, "setup/node24");
  const lock = path.join(lockDir, "package-lock.json");
  const key = keyOf([lock], [NODE_VERSION, process.platform, process.arch]);
  const binary = ownNodeBinary(places, process.platform);
  return {
    name: "node",
    label: `Node ${NODE_VERSION} (this one is ${process.versions.node})`,
    after: [],
    whyDue: () => state.whyDue("node", key),
    async make() {
      rmSync(places.node24, { recursive: true, force: true });
      mkdirSync(places.node24, { recursive: true });
      const [npm, ...npmArgs] = npmCommand();
      const options = { step: `Installing Node ${NODE_VERSION}`, cwd: places.node24 };
      if (process.platform === "linux") {
        cpSync(lockDir, places.node24, { recursive: true });
        await run(npm, [...npmArgs, "ci", "--ignore-scripts", "--loglevel=error"], options);
      } else {
        // The package fetches the binary of this platform in its install script, so only its own version can be pinned.
        await run(
          npm,
          [...npmArgs, "install", "--prefix", ".", "--no-save", "--loglevel=error", `node@${NODE_VERSION}`],
          options,
        );
      }
      const version = await run(binary, ["--version"], { step: `Starting Node ${NODE_VERSION}` }).catch(() => "");
      if (version.trim() !== `v${NODE_VERSION}`) throw nodeTooOld();
      state.record("node", key, [binary]);
    },
  };
}

/**
 * Makes `node` of every npm script mean the project's own Node: npm puts node_modules/.bin first on the PATH.
 *
 * @param {import("../places.mjs").Places} places
 * @param {NodeJS.Platform} [platform]
 */
export function linkOwnNode(places, platform = process.platform) {
  const target = path.relative(path.dirname(places.nodeLink), ownNodeBinary(places, platform));
  if (
    lstatSync(places.nodeLink, { throwIfNoEntry: false })?.isSymbolicLink() &&
    readlinkSync(places.nodeLink) === target
  )
    return;
  mkdirSync(path.dirname(places.nodeLink), { recursive: true });
  rmSync(places.nodeLink, { force: true });
  symlinkSync(target, places.nodeLink);
}

/**
 * @param {import("../places.mjs").Places} places
 * @param {NodeJS.Platform} platform
 */
function ownNodeBinary({ node24 }, platform) {
  const packageName = platform === "linux" ? `node-linux-${process.arch}` : "node";
  return path.join(node24, "node_modules", packageName, "bin/node");
}

function nodeTooOld() {
  return new SetupError(
    `embedge needs Node 22.18 or later; this is ${process.versions.node} on ${process.platform}-${process.arch}.`,
    {
      mend: "Install Node 24 from https://nodejs.org/en/download (or with nvm, fnm, Homebrew), then run the same command again.",
    },
  );
}

/** @param {string} file */
function realpathOr(file) {
  try {
    return realpathSync(file);
  } catch {
    return file;
  }
}
