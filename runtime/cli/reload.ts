import { ConfigError } from "../config/problems.ts";
import type { Config } from "../config/schema.ts";
import type { Host } from "../host.ts";
import { complain, print } from "./output.ts";

/** SIGHUP: reads the settings again and says what came of it. What is wrong leaves everything as it was. */
export function reloadSettings(host: Host, load: () => Config): void {
  try {
    const { changed, waiting } = host.changeSettings(load());
    print(`SIGHUP: settings and API keys were read again. ${describe("Changed now", changed)}`);
    if (waiting.length > 0) print(describe("Only a restart changes", waiting));
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    complain(`${error.problems.join("\n")}\nSIGHUP: nothing has changed, since the settings are wrong.`);
  }
}

function describe(what: string, names: readonly string[]): string {
  return `${what}: ${names.length === 0 ? "nothing" : names.join(", ")}.`;
}
