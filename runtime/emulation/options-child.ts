/**
 * Reads a wrangler configuration with wrangler's own parser, tells what Miniflare needs of it, and ends. In a process of its own,
 * since wrangler takes 200 MB and listens for signals.
 */
import { readMiniflareOptions } from "./wrangler.ts";
import { setQuietDefaults } from "./wrangler-env.ts";

/** What this process is told: one message. */
export interface OptionsQuestion {
  readonly configFile: string;
  readonly environment: string | undefined;
}

/** What it answers: one message. */
export type OptionsAnswer =
  | { readonly type: "options"; readonly options: MiniflareWorkers }
  | { readonly type: "failed"; readonly message: string };

/** Options of Miniflare 4, which `convertV4MiniflareOptions` takes; of this Worker, and of those that wrangler adds for it. */
export interface MiniflareWorkers {
  readonly name: string;
  readonly worker: Readonly<Record<string, unknown>>;
  readonly others: readonly Readonly<Record<string, unknown>>[];
  /** It talks to Workers of other `wrangler dev` sessions. */
  readonly hasNeighbours: boolean;
}

setQuietDefaults(process.env);
process.once("message", (question: OptionsQuestion) => void answer(question));

async function answer(question: OptionsQuestion): Promise<void> {
  try {
    tell({ type: "options", options: await readMiniflareOptions(question) });
  } catch (error) {
    tell({ type: "failed", message: error instanceof Error ? error.message : String(error) });
  }
}

function tell(message: OptionsAnswer): void {
  process.send?.(message, undefined, undefined, () => process.exit(0));
}
