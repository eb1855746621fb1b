import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";

/** An empty folder that goes with its scope. */
export function makeFolder(): Disposable & { readonly path: string } {
  const folder = mkdtempSync(path.join(os.tmpdir(), "embedge-test-"));
  return { path: folder, [Symbol.dispose]: () => rmSync(folder, { recursive: true }) };
}
