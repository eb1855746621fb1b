/**
 * Everything of wrangler that its makers call unstable or unsafe, and nothing else: here it breaks, if a new version breaks it.
 * `test/emulation/wrangler.real.test.ts` is its contract.
 */
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import type { MiniflareWorkers, OptionsQuestion } from "./options-child.ts";

export interface WranglerOptions {
  /** wrangler.toml, or .json, or .jsonc. */
  readonly configFile: string;
  /** Where the service behind `env.AI` listens. */
  readonly upstreamUrl: string;
  /** The module of Miniflare's plugin. */
  readonly pluginFile: string;
  /** Variables beside those of the configuration. */
  readonly vars: Readonly<Record<string, string>>;
  /** Told where workerd listens, again after each change: the port is another one then. */
  readonly onServing: (url: string) => void;
  /** Told of a change that could not be built; what served before goes on. */
  readonly onProblem: (message: string) => void;
}

export interface WranglerServer {
  dispose(): Promise<void>;
}

interface Binding {
  readonly type: string;
  readonly [field: string]: unknown;
}

/** As much as is used of the package. */
interface Wrangler {
  unstable_readConfig(args: { readonly config: string; readonly env?: string | undefined }): WranglerConfig;
  unstable_getMiniflareWorkerOptions(
    config: WranglerConfig,
    environment: string | undefined,
    options: { readonly overrides: { readonly enableContainers: boolean } },
  ): { readonly workerOptions: MiniflareOptions; readonly externalWorkers: readonly MiniflareOptions[] };
  readonly unstable_DevEnv: new () => DevEnv;
}

interface WranglerConfig {
  readonly name?: string;
  ai?: { readonly binding?: string } | undefined;
  unsafe?: object | undefined;
  workflows?: readonly { readonly script_name?: string }[];
  readonly compatibility_date?: string;
}

/** Those of Miniflare 4, of which wrangler speaks. */
interface MiniflareOptions extends Readonly<Record<string, unknown>> {
  readonly serviceBindings?: object;
  readonly durableObjects?: Readonly<Record<string, { readonly scriptName?: string }>>;
}

/** What `unstable_startWorker` makes too; made here, so that no event is missed. */
interface DevEnv {
  on(event: string, listener: (event: Readonly<Record<string, unknown>>) => void): void;
  startWorker(options: object): Promise<WranglerServer & { readonly ready: Promise<void> }>;
}

interface ProxyData {
  readonly userWorkerUrl: { readonly protocol: string; readonly hostname: string; readonly port: string };
}

/**
 * Runs a Workers project in workerd as `wrangler dev` does (vars, .dev.vars, KV, D1, R2, queues, rebuild on change), with
 * `env.AI` of this machine. No login, and no request leaves it. Resolves when it serves; rejects where it cannot.
 */
export async function startWrangler(options: WranglerOptions): Promise<WranglerServer> {
  const require = createRequire(options.configFile);
  const wrangler = (await importFrom(require, "wrangler").catch(explainMissing)) as Wrangler;
  const config = wrangler.unstable_readConfig({ config: options.configFile });
  await checkDate(require, config.compatibility_date ?? "");
  const ai: Binding = {
    type: "unsafe_ai",
    // By its path: under the package's name it is found only where it is installed beside miniflare.
    dev: { plugin: { package: options.pluginFile, name: "embedge-ai" }, options: { url: options.upstreamUrl } },
  };
  const bindings: Record<string, Binding> = { AI: ai, [config.ai?.binding ?? "AI"]: ai };
  for (const [name, value] of Object.entries(options.vars)) bindings[name] = { type: "plain_text", value };
  const env = new wrangler.unstable_DevEnv();
  const served = Promise.withResolvers<void>();
  // It may be early: before anybody waits for it.
  served.promise.catch(() => {});
  // Not wrangler's own address: the proxy that stands there does not pass on that a client has gone.
  env.on("reloadComplete", ({ proxyData }) => {
    const { protocol, hostname, port } = (proxyData as ProxyData).userWorkerUrl;
    options.onServing(`${protocol}//${hostname}:${port}`);
    served.resolve();
  });
  env.on("buildFailed", () => options.onProblem("The functions could not be built; see above."));
  env.on("error", ({ reason, cause }) => {
    options.onProblem(`wrangler: ${String(reason)}`);
    served.reject(new Error(String(reason), { cause }));
  });
  const worker = await env.startWorker({
    config: options.configFile,
    bindings,
    dev: {
      server: { hostname: "127.0.0.1", port: 0 },
      inspector: false,
      remote: false,
      logLevel: "log",
      watch: true,
    },
  });
  await Promise.all([worker.ready, served.promise]);
  return worker;
}

/**
 * What Miniflare needs to give the bindings of a configuration, as `getPlatformProxy` asks for them, and with its queue consumers, which
 * that leaves out. `env.AI` is not among them. Throws where wrangler refuses the configuration.
 */
export async function readMiniflareOptions({ configFile, environment }: OptionsQuestion): Promise<MiniflareWorkers> {
  const require = requireFor(configFile);
  const wrangler = (await importFrom(require, "wrangler")) as Wrangler;
  const config = wrangler.unstable_readConfig({ config: configFile, env: environment });
  await checkDate(require, config.compatibility_date ?? "");
  config.ai = undefined;
  config.unsafe = {};
  // Their code would have to run in workerd; `getPlatformProxy` leaves them out as well.
  config.workflows = (config.workflows ?? []).filter(({ script_name: script }) => script !== undefined);
  const { workerOptions, externalWorkers } = wrangler.unstable_getMiniflareWorkerOptions(config, environment, {
    overrides: { enableContainers: false },
  });
  // Rules for the modules of a bundle, which there is none of.
  const { modulesRules: _, ...worker } = workerOptions;
  const scripts = Object.values(worker.durableObjects ?? {}).map(({ scriptName }) => scriptName);
  return {
    name: config.name ?? "embedge",
    worker,
    others: externalWorkers,
    hasNeighbours:
      Object.keys(worker.serviceBindings ?? {}).length > 0 || scripts.some((script) => script !== undefined),
  };
}

/** As much as is used of the package. */
export interface MiniflareModule {
  readonly Miniflare: new (options: object) => Miniflare;
  readonly Log: new (level: number) => { log(message: string): void };
  readonly LogLevel: { readonly WARN: number };
  readonly Response: new (body: string) => object;
  convertV4MiniflareOptions(options: object): object;
  getDefaultDevRegistryPath(): string;
}

export interface Miniflare {
  readonly ready: Promise<URL>;
  getBindings(): Promise<Record<string, unknown>>;
  dispose(): Promise<void>;
}

/** The one that wrangler comes with. */
export async function importMiniflare(configFile: string): Promise<MiniflareModule> {
  const require = createRequire(requireFor(configFile).resolve("wrangler"));
  return (await importFrom(require, "miniflare")) as MiniflareModule;
}

/** Whether there is a wrangler for a project. */
export function hasWrangler(configFile: string): boolean {
  try {
    return requireFor(configFile).resolve("wrangler") !== "";
  } catch {
    return false;
  }
}

/** Of the project's packages where they have a wrangler, else of ours. */
function requireFor(configFile: string): NodeJS.Require {
  const require = createRequire(configFile);
  try {
    require.resolve("wrangler");
    return require;
  } catch {
    return createRequire(import.meta.url);
  }
}

async function checkDate(require: NodeJS.Require, wanted: string): Promise<void> {
  const workerd = await importFrom(createRequire(require.resolve("wrangler")), "workerd");
  const newest = (workerd as { readonly compatibilityDate: string }).compatibilityDate;
  if (wanted <= newest) return;
  throw new Error(`compatibility_date ${wanted} is newer than the installed workerd knows: ${newest}.`);
}

export const INSTALL = "npm install --save-dev wrangler@4.155.0";

function explainMissing(error: unknown): never {
  const isMissing = error instanceof Error && "code" in error && error.code === "MODULE_NOT_FOUND";
  throw isMissing ? new Error(`wrangler is not installed: ${INSTALL}`, { cause: error }) : error;
}

/** From the project's packages, not from ours: its own wrangler is the one that deploys it. */
async function importFrom(require: NodeJS.Require, name: string): Promise<unknown> {
  return import(pathToFileURL(require.resolve(name)).href);
}
