import { checkExposure } from "../config/exposure.ts";
import { readKeys } from "../config/keys-file.ts";
import { settleSettings } from "../config/load.ts";
import type { Settings } from "../config/schema.ts";
import type { Log } from "../observe/log.ts";
import type { Doors } from "./doors.ts";
import type { LiveConfig, SettingsChange } from "./live-config.ts";
import type { PermitShares } from "./permit-shares.ts";

export interface SettingsChangeParts {
  readonly live: LiveConfig;
  readonly doors: Doors;
  readonly permitShares: PermitShares;
  readonly log: Log;
}

/** Puts in force what can be while the host runs. Throws a ConfigError, and then nothing has changed. */
export function changeSettings(settings: Settings, parts: SettingsChangeParts): SettingsChange {
  const { live, doors, permitShares, log } = parts;
  const plan = live.plan(settleSettings(settings, process.cwd()));
  const { changed, waiting, config } = plan;
  const keys = readKeys(config);
  checkExposure(config, keys.length);
  // From here on nothing fails.
  plan.apply();
  doors.keys.replace(keys);
  log.logger.level = config.log.level;
  if (changed.includes("pool.permits")) permitShares.change(config.pool.permits);
  return { changed, waiting };
}
