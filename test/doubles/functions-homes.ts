import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { systemClock } from "../../runtime/clock.ts";
import type { HostParts } from "../../runtime/compose/host-parts.ts";
import { createHost } from "../../runtime/create-host.ts";
import { createEmulator } from "../../runtime/emulation/emulator.ts";
import type { Host } from "../../runtime/host.ts";
import type { WorkerPool } from "../../runtime/pool/worker-pool.ts";
import { FAKE_MODEL } from "./fake-answer.ts";
import { makeFakeModel } from "./fake-model.ts";
import { createScriptedPool, type ScriptedPool } from "./scripted-pool.ts";
import { until } from "./wait.ts";

/** The functions of test/contract/project somewhere, with `env.AI` over a scripted pool of one permit. */
export interface FunctionsHome extends AsyncDisposable {
  /** No redirect is followed. */
  fetch(path: string, init: RequestInit): Promise<Response>;
  readonly pool: ScriptedPool;
  /** Inputs that wait. */
  queueDepth(): Promise<number>;
  /** Ends every batch that runs. */
  finishAll(): void;
  /** Of the host. */
  drain(graceMs: number): Promise<void>;
}

export const repository: string = join(import.meta.dirname, "../..");
export const project: string = join(repository, "test/contract/project");
/** Wrangler's settings for a run that tells nobody. */
export const QUIET: Readonly<Record<string, string>> = {
  CLOUDFLARE_CF_FETCH_ENABLED: "false",
  // The banner asks the registry for a newer wrangler.
  WRANGLER_HIDE_BANNER: "true",
  WRANGLER_SEND_METRICS: "false",
  WRANGLER_WRITE_LOGS: "false",
  CI: "true",
};

/** On a socket of its own. */
export async function startSocketHome(): Promise<FunctionsHome> {
  const { host, ...rest } = await startHost();
  const { url } = await host.listen();
  return { ...rest, fetch: fetchFrom(url) };
}

/** Through `host.fetch`. */
export async function startFetchHome(): Promise<FunctionsHome> {
  const { host, ...rest } = await startHost();
  return {
    ...rest,
    async fetch(path, init) {
      const request = new Request(`http://localhost${path}`, init);
      // What a client sees: its own failure, not our answer to it, and no body for HEAD.
      const response = await host.fetch(request);
      request.signal.throwIfAborted();
      return init.method === "HEAD" ? new Response(null, response) : response;
    },
  };
}

/** In workerd, as `embedge dev --miniflare` does it. */
export async function startMiniflareHome(): Promise<FunctionsHome> {
  const emulator = createEmulator({
    clock: systemClock,
    random: Math.random,
    limits: { requestTimeoutMs: 30_000, requestTimeoutMsMax: 600_000, bodyTimeoutMs: 30_000 },
    log: () => {},
  });
  const { host, ...rest } = await startHost({ functions: emulator, hasTriggers: false });
  const { url } = await host.listen();
  const upstream = await host.listenUpstream();
  await emulator.start({
    configFile: join(project, "wrangler.toml"),
    upstreamUrl: upstream.url,
    pluginFile: join(repository, "plugin/index.js"),
    vars: {},
  });
  return {
    ...rest,
    fetch: fetchFrom(url),
    async [Symbol.asyncDispose]() {
      await emulator.stop();
      await rest[Symbol.asyncDispose]();
    },
  };
}

/** In `wrangler dev --env local`, beside a host. */
export async function startWranglerHome(): Promise<FunctionsHome> {
  const { host, ...rest } = await startHost();
  const upstream = await host.listenUpstream();
  const wrangler = await startWranglerDev(project, upstream.url);
  return {
    ...rest,
    fetch: fetchFrom(wrangler.url),
    async [Symbol.asyncDispose]() {
      await wrangler[Symbol.asyncDispose]();
      await rest[Symbol.asyncDispose]();
    },
  };
}

export interface WranglerDev extends AsyncDisposable {
  readonly url: string;
  readonly child: ChildProcess;
}

/** `wrangler dev --env local` in a folder, on a free port. */
export async function startWranglerDev(cwd: string, upstreamUrl: string): Promise<WranglerDev> {
  const bin = join(repository, "node_modules/wrangler/bin/wrangler.js");
  const child = spawn(process.execPath, [bin, "dev", "--env", "local", "--ip", "127.0.0.1", "--port", "0"], {
    cwd,
    // A group of its own, so that workerd ends with it.
    detached: true,
    env: { PATH: process.env["PATH"], HOME: process.env["HOME"], ...QUIET, EMBEDGE_URL: upstreamUrl },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (chunk: string) => {
      said += chunk;
    });
  }
  const exited = once(child, "exit");
  const dispose = async (): Promise<void> => {
    process.kill(-(child.pid ?? 0), "SIGKILL");
    await exited;
  };
  try {
    const url = await until(
      "wrangler is ready",
      () => {
        if (child.exitCode !== null) throw new Error(`wrangler ended:\n${said}`);
        return /Ready on (http:\/\/[\d.]+:\d+)/.exec(said)?.[1];
      },
      30_000,
    );
    return { url, child, [Symbol.asyncDispose]: dispose };
  } catch (error) {
    await dispose().catch(() => {});
    throw error;
  }
}

type HomeOfHost = Omit<FunctionsHome, "fetch"> & { readonly host: Host };

async function startHost(parts: HostParts = {}): Promise<HomeOfHost> {
  const pool = createScriptedPool({ workerPermits: [1] });
  const model = makeFakeModel();
  const settings = {
    configFile: join(project, "embedge.toml"),
    log: { level: "silent" as const },
    models: { default: model.folder },
    server: { port: 0 },
    pool: { permits: 1 },
  };
  // The scripted pool knows one model only.
  const run: WorkerPool["run"] = (workerId, request) => pool.run(workerId, { ...request, model: FAKE_MODEL });
  const host = await createHost(settings, { hasTriggers: true, ...parts, wrapPool: () => ({ ...pool, run }) });
  await host.ready();
  return {
    host,
    pool,
    async queueDepth() {
      const metrics = await (await host.fetch(new Request("http://localhost/metrics"))).text();
      return Number(/^embedding_queue_depth (\d+)/m.exec(metrics)?.[1]);
    },
    finishAll: () => pool.finishAll(),
    drain: (graceMs) => host.drain(graceMs),
    async [Symbol.asyncDispose]() {
      await host.close();
      await model.remove();
    },
  };
}

function fetchFrom(url: string): FunctionsHome["fetch"] {
  return (path, init) => fetch(`${url}${path}`, { redirect: "manual", ...init });
}
