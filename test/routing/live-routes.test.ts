import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const runtime = path.join(import.meta.dirname, "../../runtime");

/** Run by Node itself: the test runner's own loader knows no versions of a module. */
const SCRIPT = `
import { writeFileSync } from "node:fs";
import { systemClock } from ${JSON.stringify(path.join(runtime, "clock.ts"))};
import { createLiveRoutes } from ${JSON.stringify(path.join(runtime, "routing/live-routes.ts"))};

const folder = process.argv[1];
const write = (word) => writeFileSync(folder + "/word.mjs", \`export default { fetch: () => "\${word}" };\`);
const open = () => createLiveRoutes({ folder, clock: systemClock, loadTimeoutMs: 10_000 });
const word = (routes) => routes.match("/word").route.handler.fetch();

write("one");
const first = await open();
write("two");
const second = await open();
write("three");
await first.reload();
write("four");
await second.reload();
const third = await open();
console.log(JSON.stringify([word(first), word(second), word(third)]));
`;

test("each host of a process has the functions as they were when it loaded them, whoever loaded them before", async () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), "embedge-live-"));
  try {
    const args = ["--input-type=module", "--eval", SCRIPT, folder];
    const { stdout } = await promisify(execFile)(process.execPath, args);
    expect(JSON.parse(stdout)).toEqual(["three", "four", "four"]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
