import { execFileSync } from "node:child_process";
import path from "node:path";
import { expect, test } from "vitest";

test("the generated documents say what the code says", () => {
  const script = path.join(import.meta.dirname, "../../scripts/docs.ts");
  expect(() => execFileSync(process.execPath, [script, "--check"], { stdio: "pipe" })).not.toThrow();
});
