// `node setup/main.mjs [serve|test|hub|dev …] [--fast] [--cuda]`: puts in place what `npm start`, `npm test`, `embedge models pull`
// or `npm run dev` needs, and the extras that are asked for.
// Runs on the system's Node, without packages.
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

const major = Number(process.versions.node.split(".")[0]);
if (major < 20) {
  const version = process.versions.node;
  process.stderr.write(
    `embedge needs Node 20 or later; this is ${version}. Install Node 24: https://nodejs.org/en/download\n`,
  );
  process.exit(78);
}
// Loaded only now: an older Node could not read the other files.
const { createProgress } = await import("./progress.mjs");
const { extraNames, setUp } = await import("./set-up.mjs");
const { toSetupError } = await import("./errors.mjs");

const root = fileURLToPath(new URL("..", import.meta.url));
const asked = process.argv[2];
// wrangler is among the packages for tests.
const isTest = asked === "test" || process.argv.includes("--miniflare");
const level = asked === "hub" ? "hub" : isTest ? "test" : "serve";
// The tests run the extra `fast` too.
const extras = isTest
  ? /** @type {const} */ (["fast"])
  : extraNames.filter((name) => process.argv.includes(`--${name}`));
const progress = createProgress(process.stderr);
const stop = new AbortController();
for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM", "SIGHUP"])) {
  process.once(signal, () => {
    progress.line("Stopping. What is done is kept; the same command goes on from here.");
    stop.abort(signal);
  });
}
process.stderr.on("error", () => {
  // Nobody reads: go on without a word.
});

try {
  await setUp({ root: path.resolve(root), level, extras, progress, signal: stop.signal });
} catch (error) {
  progress.end();
  if (stop.signal.aborted) process.exit(128 + os.constants.signals[/** @type {NodeJS.Signals} */ (stop.signal.reason)]);
  const { message, mend, output, exitCode } = toSetupError(error);
  progress.line(["", ...output.map((line) => `  | ${line}`), `Set-up failed: ${message}`, mend].join("\n"));
  process.exit(exitCode);
}
