import { z } from "zod";
import { type PoolConfig, poolSchema } from "./pool-schema.ts";
import { DAY_MS, durationMs, live, nameList, type ServerConfig, serverSchema } from "./server-schema.ts";

/** Every setting, checked and with its default filled in. Written alike in `embedge.toml`, in docs/configuration.md and here. */
export interface Config {
  readonly server: ServerConfig;
  readonly functions: { readonly dir: string; readonly bulk: readonly string[] };
  readonly models: ModelsConfig;
  /** Name → folder. */
  readonly projects: Readonly<Record<string, string>>;
  readonly ai: { readonly upstreamPort: number };
  readonly pool: PoolConfig;
  readonly batch: {
    readonly inputsMax: number;
    readonly tokensMax: number | "auto";
    readonly paddedTokensMax: number | "auto";
    readonly targetMs: number;
    readonly lookAheadInputsMax: number;
  };
  readonly queue: QueueConfig;
  readonly limits: { readonly textsMax: number; readonly textBytesMax: number };
  readonly log: { readonly level: LogLevel; readonly format: "auto" | "json" | "pretty" };
  readonly metrics: { readonly host: string; readonly port: number };
  readonly vars: Readonly<Record<string, string>>;
}

/** Settings as a program gives them: any part of those of `embedge.toml`, or all. */
export type Settings = { readonly [Section in keyof Config]?: Partial<Config[Section]> | undefined } & {
  /** A file to start from, `embedge.toml` for example; what stands beside it here is stronger. */
  readonly configFile?: string;
};

export interface QueueConfig {
  readonly inputsMax: number;
  readonly tokensMax: number;
  readonly bytesMax: number;
  readonly tenants: "keys" | "functions";
}

export interface ModelsConfig {
  readonly default: string;
  readonly dir: string;
  readonly aliases: Readonly<Record<string, string>>;
  readonly served: readonly string[];
  readonly memoryBytesMax: number | "auto";
}

export type LogLevel = (typeof logLevels)[number];

const logLevels = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;

const models = z.strictObject({
  default: z
    .string()
    .min(1)
    .default("all-MiniLM-L6-v2")
    .describe(
      "The model of the start, and of calls that name none: a name that `embedge models list` shows, OWNER/NAME of a hub, or a folder.",
    ),
  dir: z
    .string()
    .min(1)
    .default("auto")
    .describe(
      "Folder of the models; `auto` is `.embedge/models` in a clone, `embedge/models` in the user's cache for the installed package.",
    ),
  aliases: z
    .record(z.string().min(1), z.string().min(1))
    .default({})
    .meta(live)
    .describe("Other names for a model: name → model; `default` stands for `models.default`."),
  served: z
    .array(z.string().min(1))
    .max(64)
    .default(["*"])
    .describe(
      "Models that calls may name besides the default one, loaded when they are first asked for: names or folders; `*` is every model that was pulled.",
    ),
  memoryBytesMax: z
    .union([z.literal("auto"), z.int().min(1)])
    .default("auto")
    .describe(
      "Memory of the workers of all models together, in bytes: where another model would go over it, the one that was used least recently is unloaded. `auto`: three fifths of the machine's.",
    ),
});

const ai = z.strictObject({
  upstreamPort: z
    .int()
    .min(0)
    .max(65_535)
    .default(0)
    .describe(
      "Port on 127.0.0.1 where `env.AI` of `wrangler dev --env local` finds this host (9700 in wrangler.toml); 0 opens none.",
    ),
});

const batch = z.strictObject({
  inputsMax: z.int().min(1).max(1_024).default(32).describe("Inputs of one batch."),
  tokensMax: z
    .union([z.literal("auto"), z.int().min(1).max(1_000_000)])
    .default("auto")
    .describe("Tokens of one batch. `auto`: 512 on CPU, 16,384 on GPU."),
  paddedTokensMax: z
    .union([z.literal("auto"), z.int().min(1).max(1_000_000)])
    .default("auto")
    .describe(
      "Longest input × inputs of one batch, in tokens. `auto`: 8,192 on CPU, 16,384 on GPU, as workers sort a batch by length before they pad it.",
    ),
  targetMs: durationMs(DAY_MS)
    .default(250)
    .describe("A batch is cut so small that a worker should take no longer for it, as far as earlier ones tell."),
  lookAheadInputsMax: z
    .int()
    .min(0)
    .max(10_000)
    .default(0)
    .describe(
      "By how many later inputs of a more fitting length a waiting one may be passed over; 0: by none, strict order of arrival.",
    ),
});

const queue = z.strictObject({
  inputsMax: z
    .int()
    .min(1)
    .max(10_000_000)
    .default(8_192)
    .meta(live)
    .describe("Inputs that may wait for one model; then 429."),
  tokensMax: z
    .int()
    .min(1)
    .max(10_000_000_000)
    .default(2_000_000)
    .meta(live)
    .describe("Tokens (estimated) that may wait for one model; then 429."),
  bytesMax: z
    .int()
    .min(1_024)
    .max(2 ** 40)
    .default(256 * 2 ** 20)
    .meta(live)
    .describe("Bytes of the request bodies that are here at one time, read and not yet answered; then 429."),
  tenants: z
    .enum(["keys", "functions"])
    .default("keys")
    .meta(live)
    .describe(
      "Who shares the workers token for token: the API keys (all who have none are one), or, for those who have none, each function. What `server.tenantHeader` says goes before.",
    ),
});

const limits = z.strictObject({
  textsMax: z
    .int()
    .min(1)
    .max(100_000)
    .default(100)
    .meta(live)
    .describe("Texts of one `env.AI.run`. Workers AI allows 100."),
  textBytesMax: z
    .int()
    .min(1)
    .max(2 ** 30)
    .default(2 ** 20)
    .describe("Longest text in bytes of UTF-8. A text past the model's token limit but within this one is cut."),
});

const log = z.strictObject({
  level: z.enum(logLevels).default("info").meta(live).describe("Least severe lines that are written."),
  format: z.enum(["auto", "json", "pretty"]).default("auto").describe("`auto`: pretty on a terminal, else JSON lines."),
});

const metrics = z.strictObject({
  host: z.string().min(1).default("127.0.0.1").describe("Address of that door."),
  port: z
    .int()
    .min(0)
    .max(65_535)
    .default(0)
    .describe(
      "A port for `/metrics` alone, which then is nowhere else. 0: on the host's own port, for whoever has an API key, or for everybody where only this machine reaches it.",
    ),
});

const root = z.strictObject({
  server: serverSchema.prefault({}).describe("The HTTP server."),
  functions: z
    .strictObject({
      dir: z
        .string()
        .min(1)
        .default("functions")
        .describe(
          "Folder of the functions: one file per route. Without this setting and without that folder, those that come with embedge.",
        ),
      bulk: nameList
        .meta(live)
        .describe("Routes (`/api/reindex`) whose texts go behind all others, as with `x-embedge-priority: bulk`."),
    })
    .prefault({})
    .describe("What answers requests."),
  projects: z
    .record(z.string().min(1), z.string().min(1))
    .default({})
    .describe(
      "Workers projects served beside the functions, over the same pool: name → folder with a wrangler.toml, whose `routes` say which requests are theirs.",
    ),
  models: models.prefault({}).describe("The models and their names."),
  ai: ai.prefault({}).describe("`env.AI` for functions that run under wrangler."),
  pool: poolSchema.prefault({}).describe("The Python workers."),
  batch: batch.prefault({}).describe("What one forward pass holds."),
  queue: queue.prefault({}).describe("What may wait before callers get 429."),
  limits: limits.prefault({}).describe("What one call may ask for."),
  log: log.prefault({}).describe("Log lines, on standard error."),
  metrics: metrics.prefault({}).describe("Numbers for Prometheus."),
  vars: z
    .record(z.string().min(1), z.string())
    .default({})
    .meta({ secret: true })
    .describe(
      "Variables given to functions in `env`, beside `env.AI`; above those of wrangler.toml and `.dev.vars`. Never printed.",
    ),
});

/** The one definition of every setting: type, limits, default, description. Unknown keys are errors. */
export const configSchema: z.ZodType<Config> = root
  .refine(({ server: { requestTimeoutMs, requestTimeoutMsMax } }) => requestTimeoutMs <= requestTimeoutMsMax, {
    path: ["server", "requestTimeoutMs"],
    message: "must not be longer than server.requestTimeoutMsMax.",
  })
  .refine(({ limits: { textsMax }, queue: { inputsMax } }) => textsMax <= inputsMax, {
    path: ["limits", "textsMax"],
    message: "must not be more than queue.inputsMax, or such a call could never be admitted.",
  })
  .refine(({ server: { bodyBytesMax }, queue: { bytesMax } }) => bodyBytesMax <= bytesMax, {
    path: ["server", "bodyBytesMax"],
    message: "must not be more than queue.bytesMax, or such a body could never be admitted.",
  });
