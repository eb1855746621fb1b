import { z } from "zod";

export interface ServerConfig {
  readonly host: string;
  readonly port: number;
  readonly bodyBytesMax: number;
  readonly headersTimeoutMs: number;
  readonly bodyTimeoutMs: number;
  readonly writeTimeoutMs: number;
  readonly requestTimeoutMs: number;
  readonly requestTimeoutMsMax: number;
  readonly drainMs: number;
  readonly allowedHosts: readonly string[];
  readonly allowedOrigins: readonly string[];
  readonly connectionsMax: number;
  readonly keysFile: string;
  readonly allowUnauthenticated: boolean;
  readonly tenantHeader: string;
}

export const DAY_MS: number = 86_400_000;

/** Of a setting: it counts at once when the settings are read again (SIGHUP); the others from the next start on. */
export const live: { readonly live: true } = { live: true };

export const durationMs = (maxMs: number): z.ZodNumber => z.int().min(1).max(maxMs);
export const nameList: z.ZodDefault<z.ZodArray<z.ZodString>> = z.array(z.string().min(1)).max(1_000).default([]);

/** The section `[server]`. */
export const serverSchema: z.ZodType<ServerConfig, { readonly [Key in keyof ServerConfig]?: unknown }> = z.strictObject(
  {
    host: z
      .string()
      .min(1)
      .default("127.0.0.1")
      .describe("Address to listen on. `0.0.0.0` or `::` opens the host to others."),
    port: z.int().min(0).max(65_535).default(8080).describe("TCP port; 0 takes a free one."),
    bodyBytesMax: z
      .int()
      .min(1_024)
      .max(2 ** 30)
      .default(32 * 2 ** 20)
      .meta(live)
      .describe("Longest request body in bytes; a longer one gets 413."),
    headersTimeoutMs: durationMs(DAY_MS).default(10_000).describe("Time a client has to send the request headers."),
    bodyTimeoutMs: durationMs(DAY_MS).default(30_000).describe("Time a client has to send the request body; then 408."),
    writeTimeoutMs: durationMs(DAY_MS)
      .default(30_000)
      .describe("Time a client may take nothing of an answer that is ready; then its connection is ended."),
    requestTimeoutMs: durationMs(DAY_MS)
      .default(30_000)
      .meta(live)
      .describe("Deadline of a request that asks for none with `x-request-timeout-ms`; then 504."),
    requestTimeoutMsMax: durationMs(DAY_MS)
      .default(600_000)
      .meta(live)
      .describe("Longest deadline a request may ask for; a longer one is cut to this."),
    drainMs: z
      .int()
      .min(0)
      .max(DAY_MS)
      .default(30_000)
      .describe("Time that running requests have to finish at shutdown."),
    allowedHosts: nameList
      .meta(live)
      .describe(
        "Host names accepted in the Host header besides loopback names and `server.host`; `*` accepts all. Where that opens the host to others, the machine's name and every address in figures are accepted too.",
      ),
    allowedOrigins: nameList
      .meta(live)
      .describe("Origins of web pages that may call this host (CORS); `*` accepts all."),
    connectionsMax: z
      .int()
      .min(1)
      .max(1_000_000)
      .default(10_000)
      .describe("Connections at one time; those beyond are closed at once."),
    keysFile: z
      .string()
      .min(1)
      .default("auto")
      .meta(live)
      .describe(
        "File of the API keys, by `embedge keys`; where it holds one, every request needs one. `auto`: `embedge.keys.toml` beside embedge.toml, where there is one; `none`: no keys. It is read again with the settings.",
      ),
    allowUnauthenticated: z
      .boolean()
      .default(false)
      .meta(live)
      .describe("Lets a host without API keys listen to other machines."),
    tenantHeader: z
      .string()
      .refine((name) => /^[\w-]{1,64}$/.test(name), "must be the name of a header, or none.")
      .default("none")
      .meta(live)
      .describe(
        "Header that names the tenant, where a proxy in front sets it and lets no client do so; `none`: no header is trusted.",
      ),
  },
);
