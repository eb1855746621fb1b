import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { createReadStream, existsSync, readFileSync, rmdirSync, rmSync, statSync } from "node:fs";
import path from "node:path";
import { pipeline } from "node:stream/promises";
import { z } from "zod";
import { installation, isClone, packageRoot } from "./config/installation.ts";
import { findInCatalogue, listCatalogue, type CatalogueModel } from "./config/model-catalogue.ts";
import { listInstalled } from "./config/model-folder.ts";
import { nearest } from "./config/nearest.ts";
import { ConfigError, exitCodes } from "./config/problems.ts";
import { setUpWorkers } from "./set-up.ts";

export interface ModelsCommand {
  /** What to do, and with which models: `["pull", "bge-m3"]`. */
  readonly words: readonly string[];
  readonly modelsDir: string;
  readonly print: (line: string) => void;
}

/** What a folder was when it was pulled. Written by python/pull_model, checked by workers when they load it. */
const manifestSchema = z.object({
  repository: z.string().optional(),
  revision: z.string(),
  files: z.record(z.string(), z.object({ sha256: z.string(), bytes: z.number().optional() })),
});
type Manifest = z.infer<typeof manifestSchema>;

const REVISION_SHOWN = 12;
const MEGABYTE = 1e6;

const actions: Readonly<Record<string, (command: ModelsCommand, names: readonly string[]) => Promise<void>>> = {
  list: async (command) => list(command),
  pull: (command, names) => forEach(names, (name) => pull(command, name)),
  verify: (command, names) => verify(command, names.length === 0 ? listInstalled(command.modelsDir) : names),
  rm: (command, names) => forEach(names, async (name) => remove(command, name)),
};

/** `embedge models list | pull NAME… | verify [NAME…] | rm NAME…`. Throws a ConfigError that says what is wrong. */
export async function runModels(command: ModelsCommand): Promise<void> {
  const [action = "list", ...names] = command.words;
  const act = Object.hasOwn(actions, action) ? actions[action] : undefined;
  if (act === undefined) {
    const known = nearest(action, Object.keys(actions));
    const hint = known === undefined ? "" : `; the nearest is ${known}`;
    throw new ConfigError(
      [`models ${action}: no such command${hint}. There are list, pull, verify and rm.`],
      exitCodes.usage,
    );
  }
  await act(command, names);
}

async function forEach(names: readonly string[], act: (name: string) => Promise<void>): Promise<void> {
  if (names.length === 0) throw new ConfigError(["models: which one? See: embedge models list"], exitCodes.usage);
  for (const name of names) await act(name);
}

function list({ modelsDir, print }: ModelsCommand): void {
  const installed = listInstalled(modelsDir);
  const entries = listCatalogue();
  const rows = [
    ...installed.map((name) => [name, describeInstalled(modelsDir, name)]),
    ...entries
      .filter(({ name }) => !installed.includes(name))
      .map(({ name, repository }) => [name, `not here; embedge models pull ${name} gets ${repository}`]),
  ];
  const width = Math.max(...rows.map(([name = ""]) => name.length));
  for (const [name = "", state = ""] of rows) print(`${name.padEnd(width)}  ${state}`);
  print(`Any other: embedge models pull OWNER/NAME[@REVISION]. Models are in ${modelsDir}`);
}

function describeInstalled(modelsDir: string, name: string): string {
  let manifest: Manifest | undefined;
  try {
    manifest = readManifest(modelsDir, name);
  } catch {
    return "here; with a broken manifest";
  }
  if (manifest === undefined) return "here; without a manifest";
  const bytes = Object.keys(manifest.files)
    .map((file) => statSync(path.join(modelsDir, name, file), { throwIfNoEntry: false })?.size ?? 0)
    .reduce((sum, size) => sum + size, 0);
  const { repository, revision } = manifest;
  const source = repository === undefined ? "" : ` of ${repository}`;
  return `here; ${Math.ceil(bytes / MEGABYTE)} MB, revision ${revision.slice(0, REVISION_SHOWN)}${source}`;
}

async function pull({ modelsDir }: ModelsCommand, name: string): Promise<void> {
  const model = findInCatalogue(name);
  const known = listCatalogue().map((entry) => entry.name);
  if (model === undefined) throw unknownModel(name, known);
  if (isClone) await run("The set-up for models", process.execPath, [path.join(packageRoot, "setup/main.mjs"), "hub"]);
  else await setUpWorkers(process.stderr, new AbortController().signal, { level: "hub" });
  await run(`models pull ${name}`, installation.python, pullArguments(model, path.join(modelsDir, model.name)));
}

function pullArguments({ repository, revision }: CatalogueModel, folder: string): readonly string[] {
  const script = path.join(packageRoot, "python/pull_model/__main__.py");
  return ["-I", "-u", script, "--packages", installation.hub, repository, revision, folder];
}

/** Runs a program that tells people itself how it goes; throws with its exit code where it fails. */
async function run(what: string, program: string, args: readonly string[]): Promise<void> {
  const child = spawn(program, args, { stdio: ["ignore", "inherit", "inherit"] });
  // Ctrl-C reaches the child by itself: it says what is kept, and this process ends after it.
  const ignore = (): void => {};
  const passOn = (): void => void child.kill("SIGINT");
  process.on("SIGINT", ignore).on("SIGTERM", passOn);
  try {
    const exitCode = await new Promise<number>((resolve, reject) => {
      child.once("error", reject).once("close", (code) => resolve(code ?? exitCodes.internal));
    });
    if (exitCode !== 0) throw new ConfigError([`${what} ended with exit code ${exitCode}.`], exitCode);
  } finally {
    process.off("SIGINT", ignore).off("SIGTERM", passOn);
  }
}

async function verify({ modelsDir, print }: ModelsCommand, names: readonly string[]): Promise<void> {
  const problems: string[] = [];
  for (const asked of names) {
    const name = installedName(modelsDir, asked);
    const manifest = readManifest(modelsDir, name);
    const wrong = manifest === undefined ? undefined : await wrongFiles(path.join(modelsDir, name), manifest);
    if (wrong === undefined) print(`${name}: has no manifest, so there is nothing to compare it with`);
    else if (wrong.length === 0) print(`${name}: every file is as it was pulled`);
    else problems.push(...wrong.map((why) => `${name}: ${why}; get it again: embedge models pull ${name}`));
  }
  if (problems.length > 0) throw new ConfigError(problems, exitCodes.dataError);
}

/** Why each wrong file is wrong. */
async function wrongFiles(folder: string, { files }: Manifest): Promise<readonly string[]> {
  const wrong: string[] = [];
  for (const [name, { sha256, bytes }] of Object.entries(files)) {
    const file = path.join(folder, name);
    const size = statSync(file, { throwIfNoEntry: false })?.size;
    if (size === undefined) wrong.push(`${name} is missing`);
    else if (bytes !== undefined && size !== bytes) wrong.push(`${name} has ${size} bytes of ${bytes}`);
    else if ((await hashOf(file)) !== sha256) wrong.push(`${name} is another file`);
  }
  return wrong;
}

async function hashOf(file: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(file, { highWaterMark: 2 ** 20 }), hash);
  return hash.digest("hex");
}

function remove({ modelsDir, print }: ModelsCommand, asked: string): void {
  const name = installedName(modelsDir, asked);
  const folder = path.join(modelsDir, name);
  rmSync(folder, { recursive: true });
  // The folder of an owner goes with its last model.
  if (name.includes("/") && listInstalled(modelsDir).every((other) => path.dirname(other) !== path.dirname(name))) {
    removeEmpty(path.dirname(folder));
  }
  print(`${name}: removed`);
}

function removeEmpty(folder: string): void {
  try {
    rmdirSync(folder);
  } catch {
    // A pull that has not finished has its files there.
  }
}

function installedName(modelsDir: string, asked: string): string {
  const name = findInCatalogue(asked)?.name ?? asked;
  const installed = listInstalled(modelsDir);
  if (!installed.includes(name)) throw unknownModel(asked, installed);
  return name;
}

function unknownModel(name: string, known: readonly string[]): ConfigError {
  const there = known.length === 0 ? "there is none" : `there are ${known.join(", ")}`;
  return new ConfigError([`models: no model ${JSON.stringify(name)}; ${there}.`], exitCodes.noInput);
}

/** The default model has none in its folder: what it must be stands in python/default_model.json. */
function readManifest(modelsDir: string, name: string): Manifest | undefined {
  const file = path.join(modelsDir, name, "manifest.json");
  if (existsSync(file)) return parseManifest(file);
  const pinned = JSON.parse(readFileSync(path.join(packageRoot, "python/default_model.json"), "utf8")) as {
    readonly name: string;
    readonly revision: string;
    readonly files: Readonly<Record<string, string>>;
  };
  if (name !== pinned.name) return undefined;
  const files = Object.entries(pinned.files).map(([at, sha256]) => [at, { sha256 }] as const);
  return { revision: pinned.revision, files: Object.fromEntries(files) };
}

function parseManifest(file: string): Manifest {
  try {
    return manifestSchema.parse(JSON.parse(readFileSync(file, "utf8")));
  } catch {
    throw new ConfigError([`${file}: not a manifest; get the model again.`], exitCodes.dataError);
  }
}
