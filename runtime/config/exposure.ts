import { ConfigError, exitCodes } from "./problems.ts";
import type { Config } from "./schema.ts";

/** Whether only this machine can reach an address that is listened on. */
export function isLoopbackAddress(host: string): boolean {
  return /^(?:(?:.+\.)?localhost|127(?:\.\d{1,3}){3}|\[?::1\]?)$/i.test(host);
}

/** Throws a ConfigError where others than this machine could call, need no key, and nobody has said that they may. */
export function checkExposure({ server, metrics }: Pick<Config, "server" | "metrics">, keyCount: number): void {
  if (keyCount > 0 || server.allowUnauthenticated) return;
  const open: [string, string][] = [["server.host", server.host]];
  if (metrics.port > 0) open.push(["metrics.host", metrics.host]);
  const problems = open
    .filter(([, host]) => !isLoopbackAddress(host))
    .map(
      ([name, host]) =>
        `${name} = ${JSON.stringify(host)} opens the host to other machines, and there is no API key. ` +
        "Make one with `embedge keys add NAME` (in a clone: npm run keys -- add NAME), or allow everybody with --insecure.",
    );
  if (problems.length > 0) throw new ConfigError(problems, exitCodes.config);
}
