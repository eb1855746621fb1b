/** What nobody asked for; a variable that is set already stands. */
const defaults = {
  // Each would send a request out of this machine.
  CLOUDFLARE_CF_FETCH_ENABLED: "false",
  WRANGLER_SEND_METRICS: "false",
  // Else it writes to the user's home.
  WRANGLER_WRITE_LOGS: "false",
  // Keeps a trace of each request, which takes 2 ms, and shows it at /cdn-cgi/local/explorer.
  X_LOCAL_OBSERVABILITY: "false",
  X_LOCAL_EXPLORER: "false",
};

/** For a process that is wrangler's alone: tells nobody, asks nobody. */
export function setQuietDefaults(env: NodeJS.ProcessEnv): void {
  Object.assign(env, { ...defaults, ...env });
}
