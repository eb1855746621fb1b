/** What `globalSetup: "embedge/vitest"` runs. */
import { createRequire } from "node:module";
import type * as TestAi from "./test-ai.ts";

/** As much of vitest's own as is used. */
interface TestProject {
  readonly config: { readonly root: string };
  provide(key: string, value: string): void;
}

/**
 * Serves the tests' `env.AI` with the settings of the project's `embedge.toml` and provides its address as `embedgeUrl`;
 * resolves with what ends it.
 */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  // Not by import: vitest would run all of embedge through its own loader, with packages as they are meant for browsers.
  const require = createRequire(import.meta.url);
  const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
  const { serveTestAi } = require(`./test-ai.${extension}`) as typeof TestAi;
  const { url, end } = await serveTestAi(project.config.root);
  project.provide("embedgeUrl", url);
  return end;
}
