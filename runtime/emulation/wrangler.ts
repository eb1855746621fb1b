/**
 * Everything of wrangler that its makers call unstable or unsafe, and nothing else: here it breaks, if a new version breaks it.
 * `test/emulation/wrangler.real.test.ts` is its contract.
 */
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

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
  unstable_readConfig(args: { readonly config: string }): {
    readonly ai?: { readonly binding?: string };
    readonly compatibility_date?: string;
  };
  readonly unstable_DevEnv: new () => DevEnv;
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
  const bindings: Record<string, Binding> = {
    [config.ai?.binding ?? "AI"]: {
      type: "unsafe_ai",
      // By its path: under the package's name it is found only where it is installed beside miniflare.
      dev: { plugin: { package: options.pluginFile, name: "embedge-ai" }, options: { url: options.upstreamUrl } },
    },
  };
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

async function checkDate(require: NodeJS.Require, wanted: string): Promise<void> {
  const workerd = await importFrom(createRequire(require.resolve("wrangler")), "workerd");
  const newest = (workerd as { readonly compatibilityDate: string }).compatibilityDate;
  if (wanted <= newest) return;
  throw new Error(`compatibility_date ${wanted} is newer than the installed workerd knows: ${newest}.`);
}

function explainMissing(error: unknown): never {
  const isMissing = error instanceof Error && "code" in error && error.code === "MODULE_NOT_FOUND";
  throw isMissing
    ? new Error("wrangler is not installed: npm install --save-dev wrangler@4.155.0", { cause: error })
    : error;
}

/** From the project's packages, not from ours: its own wrangler is the one that deploys it. */
async function importFrom(require: NodeJS.Require, name: string): Promise<unknown> {
  return import(pathToFileURL(require.resolve(name)).href);
}
