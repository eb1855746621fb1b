import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { describe, expect, test } from "vitest";

const root = join(import.meta.dirname, "..");
const LINES_MAX = 300;

/** Which room may import which; `type` marks type-only imports. Everyone but the scheduler may import the leaves. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  miniflare: ["create-host", "type host", "type config", "type routing", "type functions"],
  vitest: ["type test-ai"],
  "test-ai": ["create-host", "config", "set-up"],
  embedge: ["create-host", "config", "type host", "type http", "type embedder", "type pool", "type functions"],
  cli: [
    "create-host",
    "type compose",
    "type host",
    "config",
    "set-up",
    "models-command",
    "emulation",
    "routing",
    "pool",
  ],
  emulation: ["http", "pool", "routing", "type functions"],
  "models-command": ["config", "set-up"],
  "set-up": ["config"],
  "create-host": ["set-up", "compose", "host", "http", "routing", "config", "observe", "type pool"],
  compose: ["type functions", "http", "routing", "embedder", "scheduler", "pool", "emulation", "config", "observe"],
  host: [
    "http",
    "pool",
    "type compose",
    "type functions",
    "type config",
    "type embedder",
    "type observe",
    "type routing",
  ],
  http: ["routing", "type embedder", "type observe", "type pool"],
  routing: ["functions", "type embedder"],
  embedder: ["scheduler", "pool", "type observe"],
  pool: ["type observe"],
  scheduler: [],
  config: [],
  observe: [],
  functions: [],
  errors: [],
  clock: [],
};
const leaves = ["errors", "clock"];

interface Import {
  readonly file: string;
  readonly target: string;
  readonly typeOnly: boolean;
}

describe("rooms", () => {
  const files = [...sources("runtime"), ...sources("functions")];

  test("import only what the table allows", () => {
    expect(files.length).toBeGreaterThan(20);
    expect(breaches(files.flatMap((file) => importsOf(file, read(file))))).toEqual([]);
  });

  test("a breach is caught, a type-only import of a value room is not", () => {
    const imports = importsOf("runtime/scheduler/scheduler.ts", 'import { systemClock } from "../clock.ts";\n');
    expect(breaches(imports)).toEqual(["runtime/scheduler/scheduler.ts imports clock"]);
    const values = importsOf("runtime/pool/local-pool.ts", 'import { log } from "../observe/log.ts";\n');
    expect(breaches(values)).toEqual(["runtime/pool/local-pool.ts imports observe"]);
    const types = importsOf("runtime/pool/local-pool.ts", 'import type { Log } from "../observe/log.ts";\n');
    expect(breaches(types)).toEqual([]);
  });

  test("form a graph without cycles", () => {
    expect(cycle(mayImport)).toBeUndefined();
    expect(cycle({ a: ["b"], b: ["type a"] })).toEqual(["a", "b", "a"]);
  });

  test("the scheduler reads no clock, no chance and no process", () => {
    const banned = /\b(Date|performance|Math\.random|setTimeout|setInterval|setImmediate|queueMicrotask|process)\b/;
    const offenders = files
      .filter((file) => file.startsWith("runtime/scheduler/"))
      .filter((file) => banned.test(code(file)));
    expect(offenders).toEqual([]);
  });

  test("functions reach nothing but zod and portable libraries", () => {
    const portable = /^(zod|hono|js-tiktoken)(\/|$)/;
    const outside = files
      .filter((file) => file.startsWith("functions/"))
      .flatMap((file) => specifiers(read(file)).map(({ specifier }) => `${file} imports ${specifier}`))
      .filter((line) => !line.includes(" imports .") && !portable.test(line.split(" imports ")[1] ?? ""));
    expect(outside).toEqual([]);
  });
});

describe("files", () => {
  const files = [...sources("runtime"), ...sources("functions"), ...sources("scripts"), ...sources("test")];

  test(`have at most ${LINES_MAX} lines`, () => {
    const long = files.filter((file) => read(file).split("\n").length > LINES_MAX + 1);
    expect(long).toEqual([]);
  });

  test("are neither drawers nor barrels", () => {
    const drawers = files.filter((file) => /(^|\/)(utils?|helpers?|common|misc)(\.|\/)/.test(file));
    const barrels = files.filter((file) => /^export (\*|\{[^}]*\}) from/m.test(read(file)));
    expect({ drawers, barrels }).toEqual({ drawers: [], barrels: [] });
  });

  test("suppress no check without a reason", () => {
    const bare = files.filter((file) =>
      /(oxlint|eslint)-disable(-next-line|-line)? [\w@/-]+(, [\w@/-]+)*\s*(\*\/|$)/m.test(read(file)),
    );
    expect(bare).toEqual([]);
  });
});

function breaches(imports: readonly Import[]): string[] {
  return imports.filter((entry) => !allowed(entry)).map(({ file, target }) => `${file} imports ${target}`);
}

function allowed({ file, target, typeOnly }: Import): boolean {
  const room = roomOf(file);
  if (room === target) return true;
  if (leaves.includes(target)) return room !== "scheduler";
  const table = mayImport[room];
  if (table === undefined) throw new Error(`${file} is in no room of the table`);
  return table.includes(target) || (typeOnly && table.includes(`type ${target}`));
}

function importsOf(file: string, text: string): Import[] {
  return specifiers(text)
    .filter(({ specifier }) => specifier.startsWith("."))
    .map(({ specifier, typeOnly }) => ({
      file,
      typeOnly,
      target: roomOf(relative(root, join(root, dirname(file), specifier))),
    }));
}

/** `runtime/pool/frames.ts` → "pool", `runtime/errors.ts` → "errors", `functions/x.ts` → "functions". */
function roomOf(file: string): string {
  const [top = "", second = ""] = file.split("/");
  return top === "functions" ? top : second.replace(/\.ts$/, "");
}

function specifiers(text: string): { specifier: string; typeOnly: boolean }[] {
  const statement = /^(?:import|export)\s+(type\s)?(?:[^"';]*?\sfrom\s+)?"([^"]+)"|\bimport\("([^"]+)"\)/gm;
  return [...text.matchAll(statement)].map(([, type, from, dynamic]) => ({
    specifier: from ?? dynamic ?? "",
    typeOnly: type !== undefined,
  }));
}

function cycle(graph: Readonly<Record<string, readonly string[]>>): string[] | undefined {
  const visit = (room: string, path: readonly string[]): string[] | undefined => {
    if (path.includes(room)) return [...path.slice(path.indexOf(room)), room];
    for (const next of graph[room] ?? []) {
      const found = visit(next.replace("type ", ""), [...path, room]);
      if (found !== undefined) return found;
    }
    return undefined;
  };
  for (const room of Object.keys(graph)) {
    const found = visit(room, []);
    if (found !== undefined) return found;
  }
  return undefined;
}

function sources(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts") && !/(^|\/)(node_modules|\.[^/]+)\//.test(name))
    .map((name) => join(folder, name));
}

function read(file: string): string {
  return readFileSync(join(root, file), "utf8");
}

/** The file without comments: what it does, not what it says. */
function code(file: string): string {
  return read(file).replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, "");
}
