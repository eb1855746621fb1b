import { mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { type FunctionFile, listFunctions } from "./functions-folder.ts";
import { toFailed } from "./loaded-function.ts";
import { createRouteTable } from "./route-table.ts";
import type { WorkerLimits } from "./worker.ts";

export interface WorkerEntryOptions {
  /** The functions. */
  readonly folder: string;
  /** Where to write. */
  readonly file: string;
  readonly limits: WorkerLimits;
}

/**
 * Writes the one module that wrangler bundles: every function of the folder as one Worker. Resolves with their number.
 *
 * An entry that is right already is left alone, so that whoever watches it sees no change. Throws FunctionsFolderError or
 * RouteConflictError where the folder cannot be served.
 */
export async function writeWorkerEntry({ folder, file, limits }: WorkerEntryOptions): Promise<number> {
  const functions = await listFunctions(folder);
  createRouteTable(functions.map(({ pattern, name }) => toFailed({ pattern, file: name }, undefined)));
  const text = entryText(functions, { folder: path.dirname(file), limits });
  if ((await readFile(file, "utf8").catch(() => "")) !== text) {
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, text);
  }
  return functions.length;
}

/** Beside this file, built or not. */
const WORKER = path.join(import.meta.dirname, `worker${path.extname(import.meta.filename)}`);

function entryText(
  functions: readonly FunctionFile[],
  { folder, limits }: { readonly folder: string; readonly limits: WorkerLimits },
): string {
  const specifier = (file: string): string => {
    const relative = path.relative(folder, file).split(path.sep).join("/");
    return JSON.stringify(relative.startsWith(".") ? relative : `./${relative}`);
  };
  const imports = functions.map((file, index) => `import * as f${index} from ${specifier(file.path)};`);
  const files = functions.map(
    ({ pattern, name }, index) =>
      `  { pattern: ${JSON.stringify(pattern)}, file: ${JSON.stringify(name)}, module: f${index} },`,
  );
  return [
    "// Made by `embedge build`; do not edit.",
    `import { createWorker } from ${specifier(WORKER)};`,
    ...imports,
    "",
    "export default createWorker([",
    ...files,
    `], ${JSON.stringify(limits)});`,
    "",
  ].join("\n");
}
