import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { packageRoot } from "../../runtime/config/installation.ts";
import { until } from "../doubles/wait.ts";
import { freePort } from "../doubles/free-port.ts";
import { measureLoad } from "./load.ts";

const START_LIMIT_MS = 60_000;

/** `embedge serve` in a process of its own; it ends when disposed. */
export interface ServedHost extends AsyncDisposable {
  /** Where texts are embedded. */
  readonly url: string;
}

export interface ServedHostOptions {
  readonly flags?: readonly string[];
  /** Requests before the first figure: V8 has compiled the path of a request after some thousands. */
  readonly warmUpRequests: number;
}

/** A host whose workers are all ready and whose code is warm. */
export async function startServedHost({ flags = [], warmUpRequests }: ServedHostOptions): Promise<ServedHost> {
  const port = await freePort();
  const args = ["runtime/cli.ts", "serve", "--port", String(port), "--log-level", "warn", ...flags];
  const child = spawn(process.execPath, args, { cwd: packageRoot, stdio: ["ignore", "ignore", "inherit"] });
  const url = `http://127.0.0.1:${port}/api/v1/embed`;
  await until("every worker is ready", () => areAllReady(port, child), START_LIMIT_MS);
  for (let done = 0; done < warmUpRequests;) {
    const { requests } = await measureLoad({ url, connections: 100, seconds: 2 });
    done += Math.max(1, requests);
  }
  return {
    url,
    async [Symbol.asyncDispose]() {
      child.kill("SIGTERM");
      if (child.exitCode === null) await once(child, "exit");
    },
  };
}

async function areAllReady(port: number, child: ChildProcess): Promise<boolean> {
  if (child.exitCode !== null) throw new Error(`the host ended with status ${child.exitCode}`);
  const answer = await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => undefined);
  if (answer?.ok !== true) return false;
  const { workers } = (await answer.json()) as {
    readonly workers: { readonly ready: number; readonly wanted: number };
  };
  return workers.ready === workers.wanted;
}
