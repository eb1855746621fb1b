#!/usr/bin/env node
import { enableCompileCache } from "node:module";
import os from "node:os";
import path from "node:path";
import { complain, print } from "./cli/output.ts";
import { init, setUp } from "./cli/package-commands.ts";
import { showConfig } from "./cli/show-config.ts";
import { installation, isClone, modelsDirOf, ownFunctionsDir, packageVersion } from "./config/installation.ts";
import { loadConfig, type LoadedConfig } from "./config/load.ts";
import { nearest } from "./config/nearest.ts";
import { ConfigError, exitCodes } from "./config/problems.ts";
import type { Development } from "./cli/development.ts";
import type { Config } from "./config/schema.ts";
import type { Host } from "./host.ts";
import { FunctionsFolderError } from "./routing/functions-folder.ts";
import { RouteConflictError } from "./routing/route-table.ts";
import { needsSetUp, setUpWorkers } from "./set-up.ts";

type Command = (args: readonly string[]) => Promise<void>;

const commands: ReadonlyMap<string, Command> = new Map([
  ["serve", (args) => serve(args)],
  ["dev", dev],
  ["build", build],
  ["init", init],
  ["setup", setUp],
  ["config", async (args) => showConfig(load(args))],
  ["models", models],
]);

const HELP = `embedge: Workers-style embedding functions on your own machine

  embedge serve [flags]     serve the functions and the model
  embedge dev [flags]       the same, and a changed function counts at once; --miniflare: in workerd, by wrangler.toml
  embedge build             write .embedge/worker.ts, \`main\` of wrangler.toml
  embedge init [folder]     write a small project that works at once
  embedge setup             fetch Python packages and the default model now, and not at the first start
  embedge config [flags]    print every setting in force and where it comes from
  embedge models list       models that are here, and those that have a name
  embedge models pull NAME  get one from the hub; verify compares its files, rm removes it

  --port N                  TCP port (8080)
  --host ADDRESS            address to listen on (127.0.0.1)
  --model NAME|FOLDER       model to serve (all-MiniLM-L6-v2); names: embedge models list
  --workers N|auto          Python processes (auto)
  --permits N               batches at the same time (4)
  --config FILE             configuration file (./embedge.toml where there is one)
  --help, --version

Each flag is a variable too: EMBEDGE_PORT. Every other setting: docs/configuration.md
`;

/** How people start this. */
const START = isClone ? "npm start --" : "npx embedge serve";

const SAME_SIGNAL_MS = 500;
/** How often a start looks whether a worker has a problem to tell of. */
const START_POLL_MS = 250;
/** MLX's own BLAS on Linux reaches 4 to 7, OpenBLAS 50 to 200. */
const SLOW_GFLOPS = 30;

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

await main(process.argv.slice(2));

async function main([name = "--help", ...args]: readonly string[]): Promise<void> {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", () => {
      // The reader has gone (`embedge serve | head -1`): what is printed is lost, the host lives.
    });
  }
  try {
    if (name === "--version") return print(packageVersion());
    if (name === "--help" || name === "-h" || args.includes("--help") || args.includes("-h"))
      return print(HELP.trimEnd());
    if (args.includes("--version")) return print(packageVersion());
    const command = commands.get(name);
    if (command === undefined) {
      const known = nearest(name, commands.keys());
      const hint = known === undefined ? "" : `; the nearest is ${known}`;
      throw new ConfigError([`${name}: no such command${hint}. See: embedge --help`], exitCodes.usage);
    }
    await command(args);
  } catch (error) {
    fail(error);
  }
}

async function dev(args: readonly string[]): Promise<void> {
  const { developInWorkerd, developOnNode } = await import("./cli/development.ts");
  const isMiniflare = args.includes("--miniflare");
  const settings = args.filter((arg) => arg !== "--miniflare");
  return serve(settings, isMiniflare ? developInWorkerd : developOnNode);
}

async function build(args: readonly string[]): Promise<void> {
  const { buildWorkerEntry } = await import("./cli/build.ts");
  print(await buildWorkerEntry(load(args).config));
}

type Develop = (config: Config) => Development | Promise<Development>;

async function serve(args: readonly string[], develop?: Develop): Promise<void> {
  const { config } = load(args);
  const run: Run = {
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
  // Compiled code of the last start: 0.3 s sooner.
  enableCompileCache(path.join(installation.home, "compile-cache"));
  const { createHost } = await import("./create-host.ts");
  run.development = await develop?.(config);
  const host = await createHost(config, run.development?.parts);
  run.host = host;
  const url = await listen(host, config.server.port);
  print(`Listening on ${url}; loading the model.`);
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
  run.phase = "ready";
  if (!isClone && config.functions.dir === ownFunctionsDir) {
    print("There is no folder `functions` here: the functions that come with embedge are served.");
  }
  print(readyText(host, url, config.pool.permits));
}

/** What a signal has to know. */
interface Run {
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
    // With a terminal it has been closed; without one it asks to read the settings again, which only a start does.
    if (process.stdin.isTTY) onSignal(signal);
    else print("SIGHUP: settings are read at the start only; restart to change them.");
  });
}

/** Words first, then flags: `models pull bge-m3 --models-dir FOLDER`. */
async function models(args: readonly string[]): Promise<void> {
  const flagsAt = args.findIndex((arg) => arg.startsWith("-"));
  const words = flagsAt === -1 ? args : args.slice(0, flagsAt);
  const { config } = load(flagsAt === -1 ? [] : args.slice(flagsAt));
  const { runModels } = await import("./models-command.ts");
  await runModels({ words, modelsDir: modelsDirOf(config), print });
}

function load(args: readonly string[]): LoadedConfig {
  return loadConfig({ args, env: process.env, cwd: process.cwd() });
}

/** Opens the port before any worker starts, so that a taken one leaves nothing behind. */
async function listen(host: Host, port: number): Promise<string> {
  try {
    const { url } = await host.listen();
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

/** While the model loads: prints each problem of a worker once. */
function watchStart(host: Host): NodeJS.Timeout {
  const told = new Set<string>();
  return setInterval(() => {
    for (const { problem, state, restarts } of host.status().workers) {
      // The wait before the next start may be shorter than a poll; the problem stays known during that start.
      const hasFailed = state === "waiting_to_restart" || restarts > 0;
      if (problem === undefined || !hasFailed || told.has(problem)) continue;
      told.add(problem);
      print(`${problem} It is started again until it does.`);
    }
  }, START_POLL_MS);
}

function readyText(host: Host, url: string, permits: number): string {
  const { workersWanted } = host.status();
  const lines = host.models().map(({ name, info }) => {
    if (info === undefined) return [`  model  ${name}`];
    const { dimensions, maxTokens, pooling, device, blas, assumptions } = info;
    return [
      `  model  ${name}: ${dimensions} dimensions, inputs up to ${maxTokens} tokens, ${pooling} pooling`,
      ...assumptions.map((assumption) => `         assumed: ${assumption}`),
      `  pool   ${count(workersWanted, "worker")}, ${count(permits, "permit")}, ${device}${describeBlas(device, blas)}`,
    ];
  });
  return [
    `embedge is ready on ${url}`,
    ...lines.flat(),
    `  try    curl -s ${url}/api/v1/embed -d '{"texts":["hello"]}'`,
  ].join("\n");
}

function describeBlas(device: string, { name, gflops }: { readonly name: string; readonly gflops: number }): string {
  if (device !== "cpu" || gflops === 0) return "";
  const speed = `${name}, ${Math.round(gflops)} GFLOP/s per worker`;
  return gflops < SLOW_GFLOPS && process.platform === "linux"
    ? `, SLOW: ${speed}; no fast BLAS was found, start embedge again`
    : `, ${speed}`;
}

function count(amount: number, word: string): string {
  return `${amount} ${word}${amount === 1 ? "" : "s"}`;
}

/** Says what is wrong on stderr and ends with the exit code that scripts can tell apart. */
function fail(error: unknown): never {
  if (error instanceof ConfigError) {
    complain(error.problems.join("\n"));
    process.exit(error.exitCode);
  }
  if (error instanceof FunctionsFolderError || error instanceof RouteConflictError) {
    complain(error.message);
    process.exit(exitCodes.config);
  }
  complain(error instanceof Error ? (error.stack ?? error.message) : String(error));
  process.exit(exitCodes.internal);
}

/** The stack. A value that is no Error may be anything, a text too, so only its type is told. */
function describe(thrown: unknown): string {
  return thrown instanceof Error ? (thrown.stack ?? thrown.message) : `a value of type ${typeof thrown}`;
}
