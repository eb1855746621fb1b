import { join } from "node:path";
import { systemClock } from "../../runtime/clock.ts";
import type { ModelInfo } from "../../runtime/pool/worker-pool.ts";
import { loadFunctions } from "../../runtime/routing/functions-folder.ts";
import { fakeModelInfo } from "./fake-answer.ts";
import { createMemoryApp, type MemoryAppOptions } from "./memory-app.ts";
import { MODEL } from "./memory-embedder.ts";

/** All of functions/, by their own paths, over an embedder in memory. */
export async function createMemoryFunctions(options: MemoryAppOptions): Promise<ReturnType<typeof createMemoryApp>> {
  const folder = join(import.meta.dirname, "../../functions");
  const routes = await loadFunctions({ folder, clock: systemClock, loadTimeoutMs: 10_000 });
  return createMemoryApp({ vars: { EMBEDDING_MODEL: MODEL }, ...options, routes });
}

/** A model with these prompts. */
export function modelInfo(prompts: readonly string[] = []): ModelInfo {
  return fakeModelInfo({ model: MODEL, dimensions: 8, maxTokens: 256, prompts });
}
