import { existsSync, watch } from "node:fs";
import path from "node:path";
import { systemClock } from "../clock.ts";
import { packageRoot } from "../config/installation.ts";
import { ConfigError, exitCodes } from "../config/problems.ts";
import type { Config } from "../config/schema.ts";
import type { HostParts } from "../compose/host-parts.ts";
import type { Host } from "../host.ts";
import { complain } from "./output.ts";

/** What `embedge dev` adds to `embedge serve`. */
export interface Development {
  readonly parts: HostParts;
  /** Resolves when the functions can serve; the host listens by then. */
  begin(host: Host): Promise<void>;
  /** Resolves when nothing of it is left. */
  end(): Promise<void>;
  /** The same at once, for a process that is about to exit. */
  kill(): void;
}

/** Editors write a file in several steps. */
const SETTLE_MS = 50;

/** Functions in this process, loaded again after each change in their folder. */
export function developOnNode(config: Config): Development {
  let timer: NodeJS.Timeout | undefined;
  let reloaded: Promise<void> = Promise.resolve();
  const watcher = new AbortController();
  const end = (): void => {
    clearTimeout(timer);
    watcher.abort();
  };
  return {
    parts: {},
    async begin(host) {
      watch(config.functions.dir, { recursive: true, signal: watcher.signal }, () => {
        clearTimeout(timer);
        timer = setTimeout(() => {
          reloaded = reloaded.then(() => host.reloadFunctions());
        }, SETTLE_MS);
      });
    },
    async end() {
      end();
      await reloaded;
    },
    kill: end,
  };
}

const WRANGLER_FILES = ["wrangler.json", "wrangler.jsonc", "wrangler.toml"];

/** Functions in workerd, by the wrangler of the project in the working directory. */
export async function developInWorkerd(config: Config): Promise<Development> {
  const configFile = WRANGLER_FILES.map((name) => path.resolve(name)).find((file) => existsSync(file));
  if (configFile === undefined) {
    throw new ConfigError([`--miniflare: there is no wrangler.toml in ${process.cwd()}.`], exitCodes.noInput);
  }
  const { createEmulator } = await import("../emulation/emulator.ts");
  const emulator = createEmulator({
    clock: systemClock,
    random: Math.random,
    limits: config.server,
    log: complain,
  });
  return {
    parts: { functions: emulator },
    async begin(host) {
      const { url } = await host.listenUpstream();
      const options = {
        configFile,
        upstreamUrl: url,
        pluginFile: path.join(packageRoot, "plugin/index.js"),
        // As on Node: the model where a request names none, and the variables of embedge.toml.
        vars: { EMBEDDING_MODEL: host.models()[0]?.name ?? "", ...config.vars },
      };
      await emulator.start(options).catch((error: unknown) => {
        throw new ConfigError([error instanceof Error ? error.message : String(error)], exitCodes.config);
      });
    },
    end: () => emulator.stop(),
    kill: () => emulator.kill(),
  };
}
