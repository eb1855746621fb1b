import { hostname } from "node:os";
import type { Clock } from "../clock.ts";
import { checkExposure, isLoopbackAddress } from "../config/exposure.ts";
import { readKeys } from "../config/keys-file.ts";
import type { Config } from "../config/schema.ts";
import type { AppDoors } from "../http/app.ts";
import { identify } from "../http/caller-check.ts";
import { createKeyring, type Keyring } from "../http/keyring.ts";
import { createMetricsDoor } from "../http/metrics-door.ts";
import type { OperationsSources } from "../http/operations.ts";

/** Who may come in, and where. */
export interface Doors {
  readonly keys: Keyring;
  /** For the app: read at each request, as the settings may change. */
  readonly app: AppDoors;
  /** `/metrics` on a port of its own. */
  readonly metrics: (request: Request) => Promise<Response>;
  /** Throws a ConfigError where the settings open the host to everybody. */
  checkExposure(): void;
}

export interface DoorParts {
  readonly clock: Clock;
  readonly operations: OperationsSources;
  /** Names of hosts that stand in routes. */
  readonly routeHosts: () => readonly string[];
}

/** Throws a ConfigError where the keys cannot be read. */
export function buildDoors(config: Config, { clock, operations, routeHosts }: DoorParts): Doors {
  const keys = createKeyring(readKeys(config), clock);
  const isOpen = (): boolean => !isLoopbackAddress(config.server.host);
  const checkKey = (headers: Headers): void => {
    if (keys.size > 0) keys.check(headers);
  };
  return {
    keys,
    app: {
      get allowedHosts() {
        return config.server.allowedHosts;
      },
      get allowedOrigins() {
        return config.server.allowedOrigins;
      },
      get anyAddress() {
        return isOpen();
      },
      ownHosts: () => [config.server.host, ...(isOpen() ? namesOfThisMachine() : []), ...routeHosts()],
      identify(headers) {
        const { tenantHeader } = config.server;
        return identify(headers, { keys, tenantHeader: tenantHeader === "none" ? undefined : tenantHeader });
      },
      get checkMetrics() {
        return config.metrics.port > 0 || (isOpen() && keys.size === 0) ? false : checkKey;
      },
    },
    metrics: createMetricsDoor({
      operations,
      hosts() {
        const { host } = config.metrics;
        const isPublic = !isLoopbackAddress(host);
        const own = [host, ...(isPublic ? namesOfThisMachine() : [])];
        return { allowedHosts: [...config.server.allowedHosts, ...own], anyAddress: isPublic };
      },
      check: (headers) => (isLoopbackAddress(config.metrics.host) ? undefined : checkKey(headers)),
    }),
    checkExposure: () => checkExposure(config, keys.size),
  };
}

function namesOfThisMachine(): readonly string[] {
  const name = hostname().toLowerCase();
  return [name, `${name}.local`];
}
