import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "../../runtime/clock.ts";
import { AppError } from "../../runtime/errors.ts";
import { FunctionsFolderError, loadFunctions } from "../../runtime/routing/functions-folder.ts";
import type { Route } from "../../runtime/routing/route-table.ts";
import { createVirtualClock } from "../doubles/virtual-clock.ts";

const GOOD = 'export default { fetch: () => new Response("good") };\n';
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "embedge-functions-"));
});
afterEach(() => rm(folder, { recursive: true }));

async function write(name: string, text: string = GOOD): Promise<void> {
  await mkdir(dirname(join(folder, name)), { recursive: true });
  await writeFile(join(folder, name), text);
}

function load(): Promise<readonly Route[]> {
  return loadFunctions({ folder, clock: systemClock, loadTimeoutMs: 10_000 });
}

async function problemsOf(): Promise<readonly string[]> {
  const error: unknown = await load().catch((thrown: unknown) => thrown);
  if (!(error instanceof FunctionsFolderError)) throw new Error("no FunctionsFolderError", { cause: error });
  return error.problems;
}

/** Why the only route has no handler. */
async function failureOf(): Promise<string> {
  const [route] = await load();
  if (!(route?.handler instanceof AppError)) throw new Error("the route has a handler");
  expect(route.handler.code).toBe("function_failed");
  return (route.handler.cause as Error).message;
}

describe("names", () => {
  test("become routes by the grammar of Pages", async () => {
    const names = ["index.ts", "api/v1/embed.ts", "api/index.js", "u/[id].mjs", "files/[[path]].ts", "u/[id]/x.ts"];
    for (const name of names) await write(name);
    const routes = await load();
    expect(routes.map(({ pattern }) => pattern).toSorted()).toEqual([
      "/",
      "/api",
      "/api/v1/embed",
      "/files/[[path]]",
      "/u/[id]",
      "/u/[id]/x",
    ]);
    expect(routes.find(({ pattern }) => pattern === "/u/[id]")?.file).toBe("u/[id].mjs");
  });

  test("that begin with _ or . are private, as is what is no source", async () => {
    for (const name of ["_lib.ts", "_lib/x.ts", "a/_b/c.ts", ".x.ts", "__proto__.ts", "notes.md", "t.d.ts"]) {
      await write(name);
    }
    expect(await load()).toEqual([]);
  });

  test("that cannot be routes are all refused at once (S19)", async () => {
    for (const name of ["a b.ts", "\u202etxt.ts", "x[id].ts", "[[all]]/x.ts", "good.ts"]) await write(name);
    const problems = await problemsOf();
    expect(problems).toHaveLength(4);
    expect(problems.join("\n")).toContain('"a b.ts" cannot be a route');
  });

  test("of Pages that would do nothing here are refused", async () => {
    await write("api/_middleware.ts");
    await write("_routes.json", "{}");
    expect(await problemsOf()).toEqual([
      expect.stringContaining("_routes.json belongs to Pages"),
      expect.stringContaining("api/_middleware.ts belongs to Pages"),
    ]);
  });
});

test("a folder that is not there is named", async () => {
  const loading = loadFunctions({ folder: join(folder, "none"), clock: systemClock, loadTimeoutMs: 10_000 });
  await expect(loading).rejects.toThrow(/There is no folder .*none/);
});

describe("links (S18)", () => {
  test("that lead out of the folder are refused", async () => {
    await write("../embedge-outside.mjs");
    await symlink(join(folder, "../embedge-outside.mjs"), join(folder, "inside.mjs"));
    await symlink(join(folder, ".."), join(folder, "up"));
    await symlink(join(folder, "nowhere.ts"), join(folder, "broken.ts"));
    expect(await problemsOf()).toHaveLength(3);
    await rm(join(folder, "../embedge-outside.mjs"));
  });

  test("to a file of the folder are another name for it", async () => {
    await write("_real.mjs");
    await symlink(join(folder, "_real.mjs"), join(folder, "alias.mjs"));
    expect((await load()).map(({ pattern }) => pattern)).toEqual(["/alias"]);
  });
});

describe("a file", () => {
  test("may export anything that has a fetch method, and its methods", async () => {
    await write("a.mjs", `export const methods = ["POST"];\n${GOOD}`);
    await write("b.mjs", "class App { fetch() { return new Response('b'); } }\nexport default new App();\n");
    const [a, b] = await load();
    expect([a?.methods, b?.methods]).toEqual([["POST"], undefined]);
    expect(b?.handler).not.toBeInstanceOf(AppError);
  });

  test("may be TypeScript that Node can strip", async () => {
    await write("a.ts", 'const x: string = "x";\nexport default { fetch: (): Response => new Response(x) };\n');
    expect((await load())[0]?.handler).not.toBeInstanceOf(AppError);
  });
});

describe("a file that cannot be loaded (F15)", () => {
  test("leaves the other routes alone", async () => {
    await write("bad.mjs", "export default {\n");
    await write("good.mjs");
    const routes = await load();
    expect(routes.map(({ handler }) => handler instanceof AppError)).toEqual([true, false]);
  });

  test.each([
    ["an error at its top level", "const x = 1;\nthrow new Error('at load');\n", /^f\.mjs:2: at load/],
    ["no default export", "export const x = 1;\n", /^f\.mjs: it has no default export with a `fetch` method/],
    ["a default without fetch", "export default () => new Response();\n", /no default export with a `fetch` method/],
    ["a method export", "export function onRequestPost() {}\n", /it exports onRequestPost, which is not supported/],
    ["a GET export", "export const GET = () => {};\n", /it exports GET, which is not supported/],
    ["methods that are none", `export const methods = "POST";\n${GOOD}`, /`methods` must be a list/],
    [
      "a word for failures that is none",
      `export const answerFailure = "text";\n${GOOD}`,
      /`answerFailure` must be a function/,
    ],
  ])("because of %s says where and why", async (_, text, message) => {
    await write("f.mjs", text);
    expect(await failureOf()).toMatch(message);
  });

  test("by Node is told with the line of the fault", async () => {
    await write("js.mjs", "const x = 1;\n\nexport default { fetch( };\n");
    await write("ts.ts", "const x = 1;\nenum A { B }\n");
    await write("missing.mjs", 'import "./none.mjs";\n');
    expect(await messagesUnderNode()).toEqual([
      "js.mjs:3: Unexpected token '}'",
      expect.stringMatching(/^missing\.mjs: Cannot find module/),
      expect.stringMatching(/^ts\.ts:2: TypeScript enum is not supported/),
    ]);
  });

  test("because it never ends is given up", async () => {
    await write("f.mjs", `await new Promise(() => {});\n${GOOD}`);
    const clock = createVirtualClock();
    const loading = loadFunctions({ folder, clock, loadTimeoutMs: 500 });
    await expect.poll(() => clock.timers).toBe(1);
    clock.advance(500);
    const [route] = await loading;
    expect(route?.handler).toMatchObject({
      code: "function_failed",
      cause: { message: expect.stringContaining("did not finish loading in 500 ms") },
    });
  });
});

/** The test runner has a loader of its own, whose messages are not Node's. */
async function messagesUnderNode(): Promise<readonly string[]> {
  const runtime = join(import.meta.dirname, "../../runtime");
  const script = `
    import { systemClock } from ${JSON.stringify(join(runtime, "clock.ts"))};
    import { loadFunctions } from ${JSON.stringify(join(runtime, "routing/functions-folder.ts"))};
    const routes = await loadFunctions({ folder: ${JSON.stringify(folder)}, clock: systemClock, loadTimeoutMs: 10_000 });
    console.log(JSON.stringify(routes.map(({ handler }) => handler.cause.message)));
  `;
  const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "--eval", script]);
  return JSON.parse(stdout) as string[];
}
