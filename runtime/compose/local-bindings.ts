import { ConfigError, exitCodes } from "../config/problems.ts";
import { openLocalBindings } from "../emulation/local-bindings.ts";
import { hasWrangler, INSTALL } from "../emulation/wrangler.ts";
import type { Log } from "../observe/log.ts";
import type { OpenLocalBindings } from "../routing/local-bindings.ts";

/** Throws a ConfigError where there is no wrangler. */
export function openLocal(log: Log): OpenLocalBindings {
  return ({ configFile, environment, names }, deliver) => {
    if (!hasWrangler(configFile)) {
      const what = names.length === 0 ? "queues to consume" : `bindings (${names.join(", ")})`;
      throw new ConfigError([`${configFile} declares ${what}, which need wrangler: ${INSTALL}`], exitCodes.config);
    }
    const bindings = openLocalBindings({
      configFile,
      environment,
      deliver,
      log: (message) => log.logger.warn({ from: configFile }, message),
    });
    return {
      close: () => bindings.close(),
      get: () =>
        bindings.get().catch((error: unknown) => {
          throw new ConfigError([error instanceof Error ? error.message : String(error)], exitCodes.config);
        }),
    };
  };
}
