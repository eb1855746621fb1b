import { closeSync, existsSync, openSync, readdirSync, readFileSync, readSync, statSync } from "node:fs";
import path from "node:path";
import { findInCatalogue } from "./model-catalogue.ts";
import { ConfigError, exitCodes, fileProblem } from "./problems.ts";

export interface ModelFolder {
  /** What answers call the model: the name it was pulled under, else the folder's own. */
  readonly name: string;
  /** Names that mean it wherever it is served. */
  readonly aliases: readonly string[];
  readonly folder: string;
}

/** A safetensors file starts with the length of its JSON header as u64, little-endian. */
const HEADER_LENGTH_BYTES = 8;
const HEADER_BYTES_MAX = 100 * 2 ** 20;

/** The folder of `models.default`: one under `modelsDir`, else a path. Throws a ConfigError (66, 77) that names the file which is missing or cut short. */
export function findModelFolder(model: string, modelsDir: string): ModelFolder {
  const known = path.isAbsolute(model) ? undefined : findInCatalogue(model);
  const name = known?.name ?? model;
  const installed = path.join(modelsDir, name);
  const isInstalled = !path.isAbsolute(model) && existsSync(installed);
  const folder = isInstalled ? installed : path.resolve(model);
  if (!existsSync(folder)) {
    const why =
      known === undefined ? unknownModel(folder, modelsDir) : `not here yet; get it: embedge models pull ${name}`;
    throw new ConfigError([`model ${model}: ${why}`], exitCodes.noInput);
  }
  let problems: readonly string[];
  try {
    problems = [...missingFiles(folder), ...weightFiles(folder).flatMap((file) => lengthProblem(file))];
  } catch (error) {
    throw error instanceof ConfigError ? error : fileProblem(folder, error);
  }
  if (problems.length > 0) throw new ConfigError(problems, exitCodes.noInput);
  return isInstalled
    ? { name, aliases: known?.aliases ?? [], folder }
    : { name: path.basename(folder), aliases: [], folder };
}

function unknownModel(folder: string, modelsDir: string): string {
  const installed = listInstalled(modelsDir);
  const known =
    installed.length === 0
      ? "no model is installed; a start of embedge installs the default one"
      : installed.join(", ");
  return `no folder ${folder}, and not one of the installed models (${known}).`;
}

/** Names of the models under a folder: NAME, or OWNER/NAME of a hub. What a pull has not finished starts with a dot. */
export function listInstalled(modelsDir: string): readonly string[] {
  const folders = (parent: string): readonly string[] =>
    existsSync(parent)
      ? readdirSync(parent, { withFileTypes: true })
          .filter((entry) => !entry.name.startsWith(".") && !entry.isFile())
          .map((entry) => entry.name)
      : [];
  return folders(modelsDir).flatMap((name) =>
    existsSync(path.join(modelsDir, name, "config.json"))
      ? [name]
      : folders(path.join(modelsDir, name)).map((child) => `${name}/${child}`),
  );
}

function missingFiles(folder: string): readonly string[] {
  return ["config.json", "tokenizer.json"]
    .filter((name) => !existsSync(path.join(folder, name)))
    .map((name) => `${path.join(folder, name)}: missing; the model folder is not complete.`);
}

/** A tensor as the header of its file has it. */
export interface StoredTensor {
  readonly dtype?: string;
  readonly shape?: readonly number[];
  readonly data_offsets?: readonly number[];
}

/** Every tensor of a complete model folder, by name. */
export function listTensors(folder: string): ReadonlyMap<string, StoredTensor> {
  return new Map(weightFiles(folder).flatMap((file) => Object.entries(readHeader(file)?.tensors ?? {})));
}

/** The weights: those of the index where there is one, so that a shard which was never copied is noticed. */
function weightFiles(folder: string): readonly string[] {
  const index = path.join(folder, "model.safetensors.index.json");
  if (existsSync(index)) return [...new Set(shardsOf(index))].map((name) => path.join(folder, name));
  const files = readdirSync(folder).filter((name) => name.endsWith(".safetensors"));
  return (files.length === 0 ? ["model.safetensors"] : files).map((name) => path.join(folder, name));
}

function shardsOf(index: string): readonly string[] {
  try {
    const { weight_map: byTensor } = JSON.parse(readFileSync(index, "utf8")) as {
      readonly weight_map: Readonly<Record<string, string>>;
    };
    return Object.values(byTensor);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new ConfigError([`${index}: not JSON; copy it again.`], exitCodes.noInput);
  }
}

function lengthProblem(file: string): readonly string[] {
  if (!existsSync(file)) return [`${file}: missing; the model folder is not complete.`];
  const bytes = statSync(file).size;
  const wanted = safetensorsBytes(file);
  if (wanted === bytes) return [];
  return [
    `${file}: ${bytes} bytes${wanted === undefined ? ", not a safetensors file" : ` of ${wanted}`}; copy it again.`,
  ];
}

/** The length that the header promises; undefined where there is no such header. */
function safetensorsBytes(file: string): number | undefined {
  const header = readHeader(file);
  if (header === undefined) return undefined;
  const ends = Object.values(header.tensors).map((tensor) => tensor.data_offsets?.[1] ?? 0);
  return header.dataFrom + ends.reduce((end, other) => Math.max(end, other), 0);
}

interface Header {
  readonly tensors: Readonly<Record<string, StoredTensor>>;
  /** Where the tensors start. */
  readonly dataFrom: number;
}

function readHeader(file: string): Header | undefined {
  const descriptor = openSync(file, "r");
  try {
    const prefix = Buffer.alloc(HEADER_LENGTH_BYTES);
    readSync(descriptor, prefix);
    const headerBytes = Number(prefix.readBigUInt64LE());
    if (headerBytes < 2 || headerBytes > HEADER_BYTES_MAX) return undefined;
    const header = Buffer.alloc(headerBytes);
    readSync(descriptor, header, 0, headerBytes, HEADER_LENGTH_BYTES);
    return { tensors: JSON.parse(header.toString("utf8")), dataFrom: HEADER_LENGTH_BYTES + headerBytes };
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  } finally {
    closeSync(descriptor);
  }
}
