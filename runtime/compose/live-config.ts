import type { Config } from "../config/schema.ts";
import { listSettings } from "../config/settings.ts";

/** What became of settings that were read again, by their names: `queue.inputsMax`. */
export interface SettingsChange {
  /** In force now. */
  readonly changed: readonly string[];
  /** They differ from what runs, and only another start changes them. */
  readonly waiting: readonly string[];
}

/** Settings that can change while the host runs. */
export interface LiveConfig {
  /** What is in force. Each section is another object after a change, so that who is to see it asks for it each time. */
  readonly config: Config;
  /** What `next` would put in force, and what not. Nothing has changed yet. */
  plan(next: Config): SettingsPlan;
}

export interface SettingsPlan extends SettingsChange {
  /** All that would be in force. */
  readonly config: Config;
  apply(): void;
}

export function createLiveConfig(start: Config): LiveConfig {
  let current = start;
  const config = Object.defineProperties(
    {},
    Object.fromEntries(
      Object.keys(start).map((section) => [section, { enumerable: true, get: () => Reflect.get(current, section) }]),
    ),
  ) as Config;
  return {
    config,
    plan(next) {
      const differing = listSettings().filter(({ path }) => !isSame(valueAt(current, path), valueAt(next, path)));
      const planned = structuredClone(current);
      for (const { path, live } of differing) if (live) assign(planned, path, valueAt(next, path));
      return {
        changed: differing.filter(({ live }) => live).map(({ path }) => path),
        waiting: differing.filter(({ live }) => !live).map(({ path }) => path),
        config: planned,
        apply() {
          current = planned;
        },
      };
    },
  };
}

function valueAt(config: Config, path: string): unknown {
  const [section = "", key] = path.split(".");
  const value: unknown = Reflect.get(config, section);
  return key === undefined ? value : Reflect.get(Object(value), key);
}

function assign(config: Config, path: string, value: unknown): void {
  const [section = "", key] = path.split(".");
  if (key === undefined) Reflect.set(config, section, value);
  else Reflect.set(Object(Reflect.get(config, section)), key, value);
}

/** Both have their keys in the order of the file or the schema, which a table's order is a part of. */
function isSame(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
