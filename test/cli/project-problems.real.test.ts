import { mkdirSync } from "node:fs";
import path from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { BOUND_CONFIG, eventsOf, makeBoundProjects } from "../doubles/bound-project.ts";
import { startDevCli } from "../doubles/dev-cli.ts";

const projects = makeBoundProjects();
afterAll(() => projects.remove());

describe("embedge dev does not start", () => {
  const start = async (
    name: string,
    files: Readonly<Record<string, string>>,
  ): Promise<readonly [number | null, string]> => {
    const { folder, write } = projects.make(name);
    for (const [file, text] of Object.entries(files)) {
      mkdirSync(path.dirname(path.join(folder, file)), { recursive: true });
      write(file, text);
    }
    await using dev = startDevCli([], folder);
    const [code] = await dev.exited;
    return [code, dev.output()];
  };

  test("with a cron that is none: 78", async () => {
    const config = JSON.stringify({ ...BOUND_CONFIG, triggers: { crons: ["* * * * 9"] } });
    const [code, output] = await start("cron", { "wrangler.jsonc": config });
    expect([code, output.trim()]).toEqual([
      78,
      'The cron "* * * * 9" has "9" for a day of the week, which is 1 to 7, SUN to SAT.',
    ]);
  });

  test("with two handlers of one event: 78", async () => {
    const [code, output] = await start("twice", { "functions/again.mjs": eventsOf(1) });
    expect([code, output.trim()]).toEqual([
      78,
      "again.mjs and events.mjs both have a handler `scheduled`; keep one of them",
    ]);
  });

  test("with a route that is none: 78, and no stack", async () => {
    const [code, output] = await start("route", {
      "embedge.toml": '[projects]\nshop = "shop"\n',
      "shop/wrangler.toml": 'main = "w.mjs"\nroutes = ["a*b.example/*"]\n',
      "shop/w.mjs": "export default { fetch: () => new Response() };\n",
    });
    expect([code, output.trim()]).toEqual([
      78,
      'The route "a*b.example/*" of "shop" contains a * that is neither the first letter of the host nor the last of the path.',
    ]);
  });

  test("with a configuration that wrangler refuses: 78, and its words", async () => {
    const config = JSON.stringify({ ...BOUND_CONFIG, r2_buckets: [{ binding: "BUCKET", bucket_name: "Not A Name" }] });
    const [code, output] = await start("refused", { "wrangler.jsonc": config });
    expect(code).toBe(78);
    expect(output).toContain('r2_buckets[0].bucket_name="Not A Name" is invalid');
  });
});
