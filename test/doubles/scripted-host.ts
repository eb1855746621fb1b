import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { createHost } from "../../runtime/create-host.ts";
import type { Host, Settings } from "../../runtime/embedge.ts";
import { FAKE_MODEL } from "./fake-answer.ts";
import { writeModel } from "./fake-model.ts";
import { postJson } from "./memory-app.ts";
import { createScriptedPool, type ScriptedPool, type ScriptedPoolOptions } from "./scripted-pool.ts";

export interface ScriptedHost extends AsyncDisposable {
  readonly host: Host;
  readonly pool: ScriptedPool;
  readonly url: string;
  readonly port: number;
  /** A folder that goes with the host. */
  readonly folder: string;
  /** Asks `/api/v1/embed` for these texts. */
  embed(texts: readonly string[], headers?: Record<string, string>): Promise<Response>;
  /** Inputs that wait, by the host's own metrics. */
  waiting(headers?: Record<string, string>): Promise<number>;
}

/** The whole host on a socket, with its own functions, over a pool without processes. */
export async function startScriptedHost(
  settings: Settings = {},
  poolOptions: ScriptedPoolOptions = {},
): Promise<ScriptedHost> {
  const folder = mkdtempSync(path.join(os.tmpdir(), "embedge-scripted-"));
  const model = path.join(folder, FAKE_MODEL);
  mkdirSync(model);
  writeModel(model);
  const { workerPermits = [2, 2] } = poolOptions;
  const pool = createScriptedPool({ ...poolOptions, workerPermits });
  const host = await createHost(
    {
      log: { level: "silent" },
      ...settings,
      models: { default: model, ...settings.models },
      server: { port: 0, ...settings.server },
      pool: {
        workers: workerPermits.length,
        permits: workerPermits.reduce((sum, permits) => sum + permits, 0),
        ...settings.pool,
      },
    },
    { wrapPool: () => pool },
  );
  const { url } = await host.listen();
  await host.ready();
  return {
    host,
    pool,
    url,
    port: Number(new URL(url).port),
    folder,
    embed: (texts, headers = {}) => fetch(`${url}/api/v1/embed`, postJson({ texts, model: FAKE_MODEL }, headers)),
    async waiting(headers = {}) {
      const metrics = await (await fetch(`${url}/metrics`, { headers })).text();
      return Number(/^embedding_queue_depth (\d+)/m.exec(metrics)?.[1]);
    },
    async [Symbol.asyncDispose]() {
      await host.close();
      rmSync(folder, { recursive: true });
    },
  };
}
