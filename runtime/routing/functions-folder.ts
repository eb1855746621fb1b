import { execFile } from "node:child_process";
import { readdir, realpath } from "node:fs/promises";
import { join, relative, sep } from "node:path";
import { pathToFileURL } from "node:url";
import type { Clock } from "../clock.ts";
import { type LoadedFunction, toFailed, toFunction } from "./loaded-function.ts";
import { urlOfVersion } from "./module-versions.ts";

export interface FunctionsFolderOptions {
  readonly folder: string;
  readonly clock: Clock;
  /** How long a file may take to load: its top-level await may never end. */
  readonly loadTimeoutMs: number;
  /** Loads the files anew where it differs from that of an earlier load. Default: as they were first loaded. */
  readonly version?: number;
}

/** The folder cannot be served as it is; each problem names its file. */
export class FunctionsFolderError extends Error {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join("\n"));
    this.name = "FunctionsFolderError";
    this.problems = problems;
  }
}

/**
 * One function per file, by the file-name grammar of Pages: `index`, `[id]`, `[[path]]`; what begins with `_` or `.` is private.
 *
 * A file that cannot be loaded still has its route, whose handler is then the failure: `message` says file, line and reason.
 * Throws FunctionsFolderError, with every problem at once, where a file's name or place is wrong.
 */
export async function loadFunctions(options: FunctionsFolderOptions): Promise<readonly LoadedFunction[]> {
  const files = await listFunctions(options.folder);
  return Promise.all(files.map((file) => loadRoute(file, options)));
}

/** The files that have a route, sorted by name. Throws FunctionsFolderError, with every problem at once. */
export async function listFunctions(folder: string): Promise<readonly FunctionFile[]> {
  const root = await realpath(folder).catch(() => {
    throw new FunctionsFolderError([`There is no folder ${folder}`]);
  });
  const found = await findFiles(root);
  if (found.problems.length > 0) throw new FunctionsFolderError(found.problems);
  return found.files;
}

export interface FunctionFile {
  /** Under the root, with slashes: `api/v1/embed.ts`. */
  readonly name: string;
  /** Where it really is: a link is followed once, here. */
  readonly path: string;
  /** `/api/v1/embed`. */
  readonly pattern: string;
}

async function findFiles(root: string): Promise<{ files: readonly FunctionFile[]; problems: readonly string[] }> {
  const files: FunctionFile[] = [];
  const problems: string[] = [];
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  for (const entry of entries) {
    const path = join(entry.parentPath, entry.name);
    const name = relative(root, path).split(sep).join("/");
    const problem = problemOf(name);
    if (problem !== undefined) problems.push(problem);
    if (isPrivate(name)) continue;
    if (entry.isSymbolicLink()) {
      const target = await realpath(path).catch(() => undefined);
      if (target === undefined || !target.startsWith(root + sep)) {
        problems.push(`${name} is a link that leads out of the functions folder`);
      } else if (SOURCE.test(name)) files.push({ name, path: target, pattern: toPattern(name) });
    } else if (entry.isFile() && SOURCE.test(name)) files.push({ name, path, pattern: toPattern(name) });
  }
  return { files: files.toSorted((a, b) => (a.name < b.name ? -1 : 1)), problems: problems.toSorted() };
}

const SOURCE = /(?<!\.d)\.(?:ts|js|mjs)$/;
const SEGMENT = /^(?:[\w-]+|\[[\w-]+\])$/;
const LAST_SEGMENT = /^(?:[\w-]+|\[[\w-]+\]|\[\[[\w-]+\]\])$/;

function isPrivate(name: string): boolean {
  return name.split("/").some((part) => part.startsWith("_") || part.startsWith("."));
}

function problemOf(name: string): string | undefined {
  const file = name.split("/").at(-1) ?? "";
  if (/^_(?:middleware\.(?:ts|js|mjs)|routes\.json)$/.test(file)) {
    return `${name} belongs to Pages and would do nothing here: share code through a private file instead`;
  }
  if (isPrivate(name) || !SOURCE.test(name)) return undefined;
  const segments = name.replace(SOURCE, "").split("/");
  const last = segments.pop() ?? "";
  if (segments.every((segment) => SEGMENT.test(segment)) && LAST_SEGMENT.test(last)) return undefined;
  return `${JSON.stringify(name)} cannot be a route: names hold letters, digits, _ and -, or are [name], or [[name]] at the end`;
}

/** `api/v1/index.ts` → `/api/v1`. */
function toPattern(name: string): string {
  const path = `/${name.replace(SOURCE, "")}`.replace(/\/index$/, "");
  return path === "" ? "/" : path;
}

async function loadRoute(file: FunctionFile, options: FunctionsFolderOptions): Promise<LoadedFunction> {
  const place = { pattern: file.pattern, file: file.name };
  try {
    return toFunction(place, await importInTime(file, options));
  } catch (cause) {
    const message = `${await locate(file, cause)}: ${cause instanceof Error ? cause.message : String(cause)}`;
    return toFailed(place, new Error(message, { cause }));
  }
}

async function importInTime(
  file: FunctionFile,
  { folder, clock, loadTimeoutMs, version }: FunctionsFolderOptions,
): Promise<Readonly<Record<string, unknown>>> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = clock.setTimer(clock.nowMs() + loadTimeoutMs, () => {
    reject(new Error(`it did not finish loading in ${loadTimeoutMs} ms; does a top-level await never end?`));
  });
  try {
    const url = version === undefined ? pathToFileURL(file.path).href : urlOfVersion(file.path, folder, version);
    return await Promise.race([import(url) as Promise<Record<string, unknown>>, late]);
  } finally {
    timer.clear();
  }
}

/** `api/embed.ts:3`, as far as it can be told. */
async function locate(file: FunctionFile, cause: unknown): Promise<string> {
  const stack = cause instanceof Error ? (cause.stack ?? "") : "";
  const line =
    lineIn(stack, file) ?? (cause instanceof SyntaxError ? lineIn(await checkSyntax(file), file) : undefined);
  return line === undefined ? file.name : `${file.name}:${line}`;
}

function lineIn(text: string, { path }: FunctionFile): string | undefined {
  const at = text.indexOf(path);
  return at === -1 ? undefined : /^(?:\?\w+=\d+)?:(\d+)/.exec(text.slice(at + path.length))?.[1];
}

/** What `node --check` says, which names the line of a syntax error; the error that `import` throws does not. */
async function checkSyntax(file: FunctionFile): Promise<string> {
  return new Promise((resolve) => {
    execFile(process.execPath, ["--check", file.path], { timeout: 5_000 }, (_, __, stderr) => resolve(stderr));
  });
}
