import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { alive, type DevCli, type Process, startDevCli } from "../doubles/dev-cli.ts";
import { until } from "../doubles/wait.ts";

/** Answers with its word, after the wait that the query asks for. */
const functionOf = (word: string): string => `import { shared } from "./_shared.ts";
import { state } from "./_state.ts";
export default {
  async fetch(request: Request) {
    state.running++;
    await new Promise((resolve) => setTimeout(resolve, Number(new URL(request.url).search.slice(1))));
    state.running--;
    return new Response(\`${word} \${shared}\`);
  },
};
`;

const RUNNING = `import { state } from "./_state.ts";
export default { fetch: () => Response.json(state.running) };
`;

const folder = mkdtempSync(path.join(os.tmpdir(), "embedge-dev-"));
const write = (name: string, text: string): void => writeFileSync(path.join(folder, "functions", name), text);
afterAll(() => rmSync(folder, { recursive: true }));

describe("embedge dev", () => {
  let dev: DevCli;
  let url: string;
  let workers: readonly Process[];
  beforeAll(async () => {
    mkdirSync(path.join(folder, "functions"));
    write("_shared.ts", "export const shared = 1;\n");
    write("_state.ts", "export const state = { running: 0 };\n");
    write("running.ts", RUNNING);
    write("word.ts", functionOf("old"));
    dev = startDevCli([], folder);
    url = await dev.ready();
    workers = dev.processes();
  });
  afterAll(() => dev[Symbol.asyncDispose]());

  /** Neither the host nor its workers were touched. */
  const expectUntouched = async (): Promise<void> => {
    expect((await fetch(`${url}/readyz`)).status).toBe(200);
    expect(alive(workers)).toEqual(workers);
  };
  const word = async (waitMs = 0): Promise<string> => (await fetch(`${url}/word?${waitMs}`)).text();
  const untilWord = (wanted: string): Promise<unknown> => until(wanted, async () => (await word()) === wanted);
  afterEach(async () => {
    write("word.ts", functionOf("old"));
    write("_shared.ts", "export const shared = 1;\n");
    await untilWord("old 1");
  });

  test("a change while 100 requests run: they end as they began, new ones see it (F13)", async () => {
    const running = Array.from({ length: 100 }, () => word(1_500));
    await until("they run", async () => (await (await fetch(`${url}/running`)).json()) === 100);
    write("word.ts", functionOf("new"));
    await untilWord("new 1");
    expect(new Set(await Promise.all(running))).toEqual(new Set(["old 1"]));
    await expectUntouched();
  });

  test("a change in a file that is shared counts", async () => {
    write("_shared.ts", "export const shared = 2;\n");
    await untilWord("old 2");
    await expectUntouched();
  });

  test("a file that is added or taken away", async () => {
    write("more.ts", functionOf("more"));
    const status = async (): Promise<number> => (await fetch(`${url}/more?0`)).status;
    await until("it is there", async () => (await status()) === 200);
    rmSync(path.join(folder, "functions/more.ts"));
    await until("it is gone", async () => (await status()) === 404);
  });

  test("bad syntax: the old version stays, and the log has the place (F14)", async () => {
    write("word.ts", "export default {\n  fetch( {\n");
    await until("it is noticed", () => dev.output().includes("word.ts:"));
    expect(await word()).toBe("old 1");
    expect(dev.output()).toMatch(/function not loaded/);
    await expectUntouched();
  });

  test("two files for one route: everything stays as it was (F16)", async () => {
    mkdirSync(path.join(folder, "functions/word"));
    write("word/index.ts", functionOf("second"));
    await until("it is noticed", () => dev.output().includes("answer the same paths"));
    expect(await word()).toBe("old 1");
    rmSync(path.join(folder, "functions/word"), { recursive: true });
  });
});
