import { readFileSync } from "node:fs";
import { enableCompileCache } from "node:module";
import os from "node:os";
import path from "node:path";
import { modelsDirOf, packageRoot } from "./config/installation.ts";
import { loadConfig, type LoadedConfig } from "./config/load.ts";
import { nearest } from "./config/nearest.ts";
import { ConfigError, exitCodes } from "./config/problems.ts";
import { listSettings } from "./config/settings.ts";
import type { Host } from "./host.ts";

type Command = (args: readonly string[]) => Promise<void>;

const commands: ReadonlyMap<string, Command> = new Map([
  ["serve", serve],
  ["config", showConfig],
  ["models", models],
]);

const HELP = `embedge: Workers-style embedding functions on your own machine

  embedge serve [flags]     serve the functions and the model
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

/** How often a start looks whether a worker has a problem to tell of. */
const START_POLL_MS = 250;
/** MLX's own BLAS on Linux reaches 4 to 7, OpenBLAS 50 to 200. */
const SLOW_GFLOPS = 30;

/** Why a port cannot be opened, by the system's code. */
const listenFailures: Readonly<Record<string, { readonly exitCode: number; mend(port: number): string }>> = {
  EADDRINUSE: {
    exitCode: exitCodes.unavailable,
    mend: (port) => `Stop that program, or choose another port: npm start -- --port ${port + 1}`,
  },
  EACCES: { exitCode: exitCodes.noPermission, mend: () => "For example: npm start -- --port 8080" },
  EADDRNOTAVAIL: { exitCode: exitCodes.config, mend: () => "For example: npm start -- --host 127.0.0.1" },
  ENOTFOUND: { exitCode: exitCodes.config, mend: () => "For example: npm start -- --host 127.0.0.1" },
};

await main(process.argv.slice(2));

async function main([name = "--help", ...args]: readonly string[]): Promise<void> {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", () => {
      // The reader has gone (`embedge serve | head -1`): what is printed is lost, the host lives.
    });
  }
  try {
    if (name === "--version") return print(version());
    if (name === "--help" || name === "-h" || args.includes("--help")) return print(HELP.trimEnd());
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

async function serve(args: readonly string[]): Promise<void> {
  const { config } = load(args);
  const run: Run = { host: undefined, phase: "starting", drainMs: config.server.drainMs };
  stopOnSignals(run);
  // Node would end the process: one function's stray promise must not end the answers of all others.
  process.on("unhandledRejection", (reason) => {
    process.stderr.write(`A promise that nobody waited for was rejected: ${describe(reason)}\n`);
  });
  // Compiled code of the last start: 0.3 s sooner.
  enableCompileCache(path.join(packageRoot, ".embedge/compile-cache"));
  const { createHost } = await import("./create-host.ts");
  const host = await createHost(config);
  run.host = host;
  const url = await listen(host, config.server.port);
  print(`Listening on ${url}; loading the model.`);
  const watch = watchStart(host);
  try {
    await host.ready();
  } catch (error) {
    // A signal has closed the host, and its handler ends the process.
    if (isStopping(run)) return;
    throw error;
  } finally {
    clearInterval(watch);
  }
  if (isStopping(run)) return;
  run.phase = "ready";
  print(readyText(host, url, config.pool.permits));
}

/** What a signal has to know. */
interface Run {
  host: Host | undefined;
  phase: "starting" | "ready" | "stopping";
  readonly drainMs: number;
}

function isStopping(run: Run): boolean {
  return run.phase === "stopping";
}

/** The first SIGTERM or SIGINT lets requests finish and ends with 0; the second ends at once with 128 + signal. */
function stopOnSignals(run: Run): void {
  const stop = async (signal: NodeJS.Signals): Promise<void> => {
    const { host, phase } = run;
    run.phase = "stopping";
    if (phase === "stopping") {
      // Kills the workers before its first await; one that is missed ends by itself when its pipe closes.
      void host?.close();
      process.exit(128 + os.constants.signals[signal]);
    }
    if (phase === "ready") {
      print(`${signal}: finishing what runs; once more ends at once.`);
      await host?.drain(run.drainMs);
    }
    await host?.close();
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

async function showConfig(args: readonly string[]): Promise<void> {
  const { config, origins, file } = load(args);
  const settings = listSettings();
  const lines = settings.map((setting) => {
    const [section = "", key = ""] = setting.path.split(".");
    const sectionValue: unknown = Reflect.get(config, section);
    const value: unknown = key === "" ? sectionValue : Reflect.get(Object(sectionValue), key);
    const shown = setting.secret ? mask(value) : JSON.stringify(value);
    return { text: `${setting.path} = ${shown}`, origin: origins.get(setting.path) ?? "default" };
  });
  const width = Math.max(...lines.map(({ text }) => Math.min(text.length, 60)));
  print(`# file: ${file ?? "none"}`);
  for (const { text, origin } of lines) print(`${text.padEnd(width)}  # ${origin}`);
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
    for (const { problem, state } of host.status().workers) {
      if (problem === undefined || state !== "waiting_to_restart" || told.has(problem)) continue;
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
    ? `, SLOW: ${speed}; no fast BLAS was found, run npm start again`
    : `, ${speed}`;
}

function count(amount: number, word: string): string {
  return `${amount} ${word}${amount === 1 ? "" : "s"}`;
}

/** The names of a table, never its values. */
function mask(value: unknown): string {
  const names = Object.keys(Object(value));
  return names.length === 0 ? "{}" : `{ ${names.map((name) => `${name} = "***"`).join(", ")} }`;
}

function version(): string {
  const { version: text } = JSON.parse(readFileSync(path.join(packageRoot, "package.json"), "utf8")) as {
    version: string;
  };
  return text;
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

function complain(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** Says what is wrong on stderr and ends with the exit code that scripts can tell apart. */
function fail(error: unknown): never {
  if (error instanceof ConfigError) {
    complain(error.problems.join("\n"));
    process.exit(error.exitCode);
  }
  complain(error instanceof Error ? (error.stack ?? error.message) : String(error));
  process.exit(exitCodes.internal);
}

/** The stack. A value that is no Error may be anything, a text too, so only its type is told. */
function describe(thrown: unknown): string {
  return thrown instanceof Error ? (thrown.stack ?? thrown.message) : `a value of type ${typeof thrown}`;
}
