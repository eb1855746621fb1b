import { existsSync } from "node:fs";
import { enableCompileCache } from "node:module";
import os from "node:os";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { installation, isClone, ownFunctionsDir } from "../config/installation.ts";
import { checkExposure } from "../config/exposure.ts";
import { readKeys } from "../config/keys-file.ts";
import { ConfigError, exitCodes } from "../config/problems.ts";
import type { Config } from "../config/schema.ts";
import type { Host } from "../host.ts";
import { needsSetUp, setUpWorkers } from "../set-up.ts";
import type { Development } from "./development.ts";
import { forbidExit } from "./exit-guard.ts";
import { provideCaches } from "./empty-caches.ts";
import { describe, fail } from "./failure.ts";
import { watchLoop } from "./loop-watchdog.ts";
import { complain, print } from "./output.ts";
import { readyText } from "./ready-text.ts";
import { reloadSettings } from "./reload.ts";
import { SAME_SIGNAL_MS, type Supervisor } from "./supervise.ts";

/** How people start this. */
const START = isClone ? "npm start --" : "npx embedge serve";

/** The number of the first socket from systemd. */
const LISTEN_FDS_START = 3;
/** How often a start looks whether a worker has a problem to tell of. */
const START_POLL_MS = 250;
/** Workers start side by side: those that are not ready a moment after the first one are told as missing. */
const SETTLE_MS_MAX = 2_000;
const SETTLE_POLL_MS = 20;
/** Why a port cannot be opened, by the system's code. */
const listenFailures: Readonly<Record<string, { readonly exitCode: number; mend(port: number): string }>> = {
  EADDRINUSE: {
    exitCode: exitCodes.unavailable,
    mend: (port) => `Stop that program, or choose another port: ${START} --port ${port + 1}`,
  },
  EACCES: { exitCode: exitCodes.noPermission, mend: () => `For example: ${START} --port 8080` },
  EADDRNOTAVAIL: { exitCode: exitCodes.config, mend: () => `For example: ${START} --host 127.0.0.1` },
  ENOTFOUND: { exitCode: exitCodes.config, mend: () => `For example: ${START} --host 127.0.0.1` },
};

type Develop = (config: Config) => Development | Promise<Development>;

export interface ServeOptions {
  /** What `embedge dev` adds to `embedge serve`. */
  readonly develop?: Develop;
  /** The process above that holds the sockets, where there is one. */
  readonly supervisor?: Supervisor;
}

/** `embedge serve` and `embedge dev`. `load` reads the settings: at the start, and at SIGHUP. */
export async function serve(load: () => Config, { develop, supervisor }: ServeOptions = {}): Promise<void> {
  const config = load();
  checkExposure(config, readKeys(config).length);
  const run: Run = {
    load,
    host: undefined,
    development: undefined,
    phase: "starting",
    drainMs: config.server.drainMs,
    setUp: Promise.resolve(),
    stopSetUp: new AbortController(),
  };
  stopOnSignals(run);
  if (needsSetUp(config)) {
    run.setUp = setUpWorkers(process.stderr, run.stopSetUp.signal);
    await run.setUp.catch((error: unknown) => {
      // A signal has stopped it, and its handler ends the process.
      if (!isStopping(run)) throw error;
    });
    if (isStopping(run)) return;
  }
  // Node would end the process: one function's stray promise must not end the answers of all others.
  process.on("unhandledRejection", (reason) => {
    complain(`A promise that nobody waited for was rejected: ${describe(reason)}`);
  });
  forbidExit([config.functions.dir, ...Object.values(config.projects)].filter((folder) => existsSync(folder)));
  watchLoop();
  // Compiled code of the last start: 0.3 s sooner.
  enableCompileCache(path.join(installation.home, "compile-cache"));
  provideCaches();
  const { createHost } = await import("../create-host.ts");
  run.development = await develop?.(config);
  const host = await createHost(config, run.development?.parts);
  run.host = host;
  // Until a successor can serve, the host before it does.
  let url = supervisor?.isSuccessor === true ? undefined : await listen(host, config.server.port);
  if (url !== undefined) print(`Listening on ${url}; loading the model.`);
  const watch = watchStart(host);
  try {
    await Promise.all([host.ready(), run.development?.begin(host)]);
  } catch (error) {
    // A signal has closed the host, and its handler ends the process.
    if (isStopping(run)) return;
    throw error;
  } finally {
    clearInterval(watch);
  }
  if (isStopping(run)) return;
  url ??= await listen(host, config.server.port);
  run.phase = "ready";
  await untilSettled(host);
  if (isStopping(run)) return;
  if (!isClone && config.functions.dir === ownFunctionsDir) {
    print("There is no folder `functions` here: the functions that come with embedge are served.");
  }
  print(readyText(host, url, config));
  if (supervisor === undefined) return;
  print(`  anew   kill -USR2 ${process.ppid}   # new code, settings or model: no request is lost`);
  supervisor.onRetire(() => void retire(run).catch(fail));
  supervisor.ready();
}

/** A successor serves: ends with 0 once every connection has ended. A signal meanwhile is obeyed as ever. */
async function retire(run: Run): Promise<void> {
  await run.host?.retire();
  if (isStopping(run)) return;
  await run.host?.drain(run.drainMs);
  await run.host?.close();
  process.exit(exitCodes.ok);
}

/** What a signal has to know. */
interface Run {
  readonly load: () => Config;
  host: Host | undefined;
  development: Development | undefined;
  phase: "starting" | "ready" | "stopping";
  readonly drainMs: number;
  /** Settled when no program of the set-up runs. */
  setUp: Promise<void>;
  readonly stopSetUp: AbortController;
}

function isStopping(run: Run): boolean {
  return run.phase === "stopping";
}

/** The first SIGTERM or SIGINT lets requests finish and ends with 0; the second ends at once with 128 + signal. */
function stopOnSignals(run: Run): void {
  let firstSignalAtMs = -Infinity;
  const stop = async (signal: NodeJS.Signals): Promise<void> => {
    const { host, phase } = run;
    const nowMs = performance.now();
    // A terminal signals the whole group, and npm passes its own on as well: one Ctrl-C comes twice.
    if (phase === "stopping" && nowMs - firstSignalAtMs < SAME_SIGNAL_MS) return;
    if (phase !== "stopping") firstSignalAtMs = nowMs;
    run.phase = "stopping";
    run.stopSetUp.abort();
    if (phase === "stopping") {
      // Kills the workers before its first await; one that is missed ends by itself when its pipe closes.
      void host?.close();
      run.development?.kill();
      process.exit(128 + os.constants.signals[signal]);
    }
    if (phase === "ready") {
      print(`${signal}: finishing what runs; once more ends at once.`);
      await host?.drain(run.drainMs);
    }
    await run.setUp.catch(() => {});
    await Promise.all([host?.close(), run.development?.end()]);
    process.exit(exitCodes.ok);
  };
  const onSignal = (signal: NodeJS.Signals): void => void stop(signal).catch(fail);
  process.on("SIGTERM", onSignal);
  process.on("SIGINT", onSignal);
  process.on("SIGHUP", (signal) => {
    // With a terminal it has been closed; without one it asks to read the settings again.
    if (process.stdin.isTTY) onSignal(signal);
    else if (run.host !== undefined && !isStopping(run)) reloadSettings(run.host, run.load);
  });
}

/** Opens the port before any worker starts, so that a taken one leaves nothing behind. */
async function listen(host: Host, port: number): Promise<string> {
  try {
    const { url } = await host.listen(inheritedSocket());
    return url;
  } catch (error) {
    await host.close();
    const cause = error instanceof Error ? error.cause : undefined;
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
    const known = listenFailures[code];
    if (known === undefined || !(error instanceof Error)) throw error;
    throw new ConfigError([`${error.message} ${known.mend(port)}`], known.exitCode);
  }
}

/** Resolves when no worker is starting any more, or after a moment: what people read shall count them all. */
async function untilSettled(host: Host): Promise<void> {
  const endAtMs = performance.now() + SETTLE_MS_MAX;
  while (performance.now() < endAtMs && host.status().workers.some(({ state }) => state === "starting")) {
    await delay(SETTLE_POLL_MS);
  }
}

/** The socket that systemd has opened for this service, sd_listen_fds(3); undefined where it was started without. */
function inheritedSocket(): number | undefined {
  const { LISTEN_PID, LISTEN_FDS = "0" } = process.env;
  // Meant for the process that was started, which may stand above this one.
  const isForUs = [process.pid, process.ppid].some((pid) => String(pid) === LISTEN_PID);
  return isForUs && Number(LISTEN_FDS) > 0 ? LISTEN_FDS_START : undefined;
}

/** While the model loads: prints each problem of a worker once. */
function watchStart(host: Host): NodeJS.Timeout {
  const told = new Set<string>();
  return setInterval(() => {
    for (const { problem, state, restarts, cannotStart } of host.status().workers) {
      // The wait before the next start may be shorter than a poll; the problem stays known during that start.
      const hasFailed = state === "waiting_to_restart" || restarts > 0;
      if (problem === undefined || !hasFailed || told.has(problem)) continue;
      told.add(problem);
      const advice = cannotStart === true ? "Nothing can be embedded until this is mended; it" : "It";
      print(`${problem} ${advice} is started again until it does.`);
    }
  }, START_POLL_MS);
}
