#!/usr/bin/env node
import { fail } from "./cli/failure.ts";
import { print } from "./cli/output.ts";
import { init, setUp } from "./cli/package-commands.ts";
import { serve } from "./cli/serve.ts";
import { showConfig } from "./cli/show-config.ts";
import { supervise } from "./cli/supervise.ts";
import { modelsDirOf, packageVersion } from "./config/installation.ts";
import { loadConfig, type LoadedConfig } from "./config/load.ts";
import { nearest } from "./config/nearest.ts";
import { ConfigError, exitCodes } from "./config/problems.ts";

type Command = (args: readonly string[]) => Promise<void>;

const commands: ReadonlyMap<string, Command> = new Map([
  ["serve", (args) => supervise((supervisor) => serve(() => load(args).config, { supervisor }))],
  ["dev", dev],
  ["build", build],
  ["init", init],
  ["setup", setUp],
  ["config", async (args) => showConfig(load(args))],
  ["doctor", examine],
  ["models", models],
  ["keys", keys],
]);

const HELP = `embedge: Workers-style embedding functions on your own machine

  embedge serve [flags]     serve the functions and the model
  embedge dev [flags]       the same, and a changed function counts at once; --miniflare: in workerd, by wrangler.toml
  embedge build             write .embedge/worker.ts, \`main\` of wrangler.toml
  embedge init [folder]     write a small project that works at once
  embedge setup             fetch Python packages and the default model now, and not at the first start;
                            --fast: with compiled loops for the CPU; --cuda: with MLX for NVIDIA GPUs
  embedge config [flags]    print every setting in force and where it comes from
  embedge doctor [--json]   look at everything that a start needs, and say how to mend what is wrong
  embedge models list       models that are here, and those that have a name
  embedge models pull NAME  get one from the hub; verify compares its files, rm removes it
  embedge keys add NAME     make an API key; list, rm NAME

  --port N                  TCP port (8080)
  --host ADDRESS            address to listen on (127.0.0.1); another one asks for API keys, or for --insecure
  --model NAME|FOLDER       model to serve (all-MiniLM-L6-v2); names: embedge models list
  --workers N|auto          Python processes (auto)
  --permits N               batches at the same time (4)
  --config FILE             configuration file (./embedge.toml where there is one)
  --help, --version

Each flag is a variable too: EMBEDGE_PORT. Every other setting: docs/configuration.md
`;

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
  return serve(() => load(settings).config, { develop: isMiniflare ? developInWorkerd : developOnNode });
}

async function build(args: readonly string[]): Promise<void> {
  const { buildWorkerEntry } = await import("./cli/build.ts");
  print(await buildWorkerEntry(load(args).config));
}

async function examine(args: readonly string[]): Promise<void> {
  const { doctor } = await import("./cli/doctor.ts");
  await doctor({ args, env: process.env, cwd: process.cwd() });
}

/** Words first, then flags: `models pull bge-m3 --models-dir FOLDER`. */
async function models(args: readonly string[]): Promise<void> {
  const flagsAt = args.findIndex((arg) => arg.startsWith("-"));
  const words = flagsAt === -1 ? args : args.slice(0, flagsAt);
  const { config } = load(flagsAt === -1 ? [] : args.slice(flagsAt));
  const { runModels } = await import("./models-command.ts");
  await runModels({ words, modelsDir: modelsDirOf(config), print });
}

async function keys(args: readonly string[]): Promise<void> {
  const { runKeys } = await import("./cli/keys.ts");
  runKeys(args, load);
}

function load(args: readonly string[]): LoadedConfig {
  return loadConfig({ args, env: process.env, cwd: process.cwd() });
}
