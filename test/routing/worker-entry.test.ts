import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Env } from "../../functions/_types.ts";
import type { Worker } from "../../runtime/routing/worker.ts";
import { writeWorkerEntry } from "../../runtime/routing/worker-entry.ts";

const limits = { bodyBytesMax: 10, requestTimeoutMs: 1_000, requestTimeoutMsMax: 2_000, waitUntilMs: 1_000 };
let root: string;
beforeEach(() => {
  root = mkdtempSync(path.join(os.tmpdir(), "embedge-entry-"));
  mkdirSync(path.join(root, "functions/api"), { recursive: true });
});
afterEach(() => rmSync(root, { recursive: true }));

const write = (name: string, text: string): void => writeFileSync(path.join(root, "functions", name), text);
const entry = (): string => path.join(root, "out/worker.ts");
const build = (): Promise<number> => writeWorkerEntry({ folder: path.join(root, "functions"), file: entry(), limits });

describe("the entry", () => {
  test("is one Worker of all functions, within the limits that it was made with", async () => {
    write("api/[id].ts", "export default { fetch: (_request, _env, context) => Response.json(context.params) };\n");
    write("_private.ts", "throw new Error('loaded');\n");
    expect(await build()).toBe(1);
    const { default: worker } = (await import(entry())) as { default: Worker };
    const background: Promise<unknown>[] = [];
    const ask = (request: Request): Promise<Response> =>
      worker.fetch(request, {} as Env, { waitUntil: (work) => void background.push(work) });
    const answer = await ask(new Request("http://x/api/7", { headers: { "x-request-id": "mine" } }));
    expect([await answer.json(), answer.headers.get("x-request-id")]).toEqual([{ id: "7" }, "mine"]);
    expect((await ask(new Request("http://x/none"))).status).toBe(404);
    expect((await ask(new Request("http://x/api/7", { method: "POST", body: "a".repeat(11) }))).status).toBe(413);
    await Promise.all(background);
  });

  test("is left alone where it is right", async () => {
    write("a.ts", "export default {};\n");
    await build();
    const { ino, mtimeMs } = statSync(entry());
    await build();
    expect(statSync(entry())).toMatchObject({ ino, mtimeMs });
    write("b.ts", "export default {};\n");
    expect(await build()).toBe(2);
    expect(readFileSync(entry(), "utf8")).toContain('pattern: "/b"');
  });

  test("is not written where two files have one route, or a name is none", async () => {
    write("a.ts", "");
    mkdirSync(path.join(root, "functions/a"));
    write("a/index.ts", "");
    await expect(build()).rejects.toThrow("a.ts and a/index.ts answer the same paths");
    rmSync(path.join(root, "functions/a.ts"));
    write("[a][b].ts", "");
    await expect(build()).rejects.toThrow("cannot be a route");
  });
});
