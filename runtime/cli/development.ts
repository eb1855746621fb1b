import { existsSync, watch } from "node:fs";
import path from "node:path";
import { systemClock } from "../clock.ts";
import { packageRoot } from "../config/installation.ts";
import { ConfigError, exitCodes } from "../config/problems.ts";
import type { Config } from "../config/schema.ts";
import { findWranglerFile } from "../config/wrangler-file.ts";
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

/** What a project is read from beside its functions. */
const PROJECT_FILE = /^(?:wrangler\.(?:toml|jsonc?)|\.dev\.vars(?:\..+)?|\.env(?:\..+)?)$/;

/** Functions in this process, loaded again after each change in their folders, or in what is declared for them. */
export function developOnNode({ functions, projects }: Config): Development {
  let timer: NodeJS.Timeout | undefined;
  let reloaded: Promise<void> = Promise.resolve();
  const watcher = new AbortController();
  const { signal } = watcher;
  const end = (): void => {
    clearTimeout(timer);
    watcher.abort();
  };
  return {
    parts: { hasTriggers: true },
    async begin(host) {
      const changed = (): void => {
        clearTimeout(timer);
        timer = setTimeout(() => {
          reloaded = reloaded.then(() => host.reloadFunctions());
        }, SETTLE_MS);
      };
      const folders = Object.values(projects);
      for (const dir of [functions.dir, ...folders.map((folder) => path.join(folder, "functions"))]) {
        if (existsSync(dir)) watch(dir, { recursive: true, signal }, changed);
      }
      for (const folder of [path.dirname(functions.dir), ...folders]) {
        watch(folder, { signal }, (_event, name) => {
          if (name !== null && PROJECT_FILE.test(name)) changed();
        });
      }
    },
    async end() {
      end();
      await reloaded;
    },
    kill: end,
  };
}

/** Functions in workerd, by the wrangler of the project in the working directory. */
export async function developInWorkerd(config: Config): Promise<Development> {
  const configFile = findWranglerFile(process.cwd());
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
        vars: {
          EMBEDDING_MODEL: host.models()[0]?.name ?? "",
          EMBEDDING_TEXTS_MAX: String(config.limits.textsMax),
          ...config.vars,
        },
      };
      await emulator.start(options).catch((error: unknown) => {
        throw new ConfigError([error instanceof Error ? error.message : String(error)], exitCodes.config);
      });
    },
    end: () => emulator.stop(),
    kill: () => emulator.kill(),
  };
}
