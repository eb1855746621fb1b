import path from "node:path";
import type { Config } from "../config/schema.ts";
import { ConfigError, exitCodes } from "../config/problems.ts";
import { FunctionsFolderError } from "../routing/functions-folder.ts";
import { RouteConflictError } from "../routing/route-table.ts";
import { writeWorkerEntry } from "../routing/worker-entry.ts";

const ENTRY = ".embedge/worker.ts";
/** What Cloudflare gives work that goes on after the answer. */
const WAIT_UNTIL_MS = 30_000;

/** Writes `main` of wrangler.toml into the working directory; resolves with a sentence for people. */
export async function buildWorkerEntry({ functions, server }: Config): Promise<string> {
  const { bodyBytesMax, requestTimeoutMs, requestTimeoutMsMax } = server;
  const limits = { bodyBytesMax, requestTimeoutMs, requestTimeoutMsMax, waitUntilMs: WAIT_UNTIL_MS };
  try {
    const count = await writeWorkerEntry({ folder: functions.dir, file: path.resolve(ENTRY), limits });
    return `${ENTRY}: ${count} ${count === 1 ? "function" : "functions"}.`;
  } catch (error) {
    if (!(error instanceof FunctionsFolderError) && !(error instanceof RouteConflictError)) throw error;
    throw new ConfigError(error.message.split("\n"), exitCodes.config);
  }
}
