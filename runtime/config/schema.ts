import { z } from "zod";

/** Every setting, checked and with its default filled in. Written alike in `embedge.toml`, in docs/configuration.md and here. */
export interface Config {
  readonly server: ServerConfig;
  readonly functions: { readonly dir: string };
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
  readonly queue: { readonly inputsMax: number; readonly tokensMax: number };
  readonly limits: { readonly textsMax: number; readonly textBytesMax: number };
  readonly log: { readonly level: LogLevel; readonly format: "auto" | "json" | "pretty" };
  readonly vars: Readonly<Record<string, string>>;
}

/** Settings as a program gives them: any part of those of `embedge.toml`, or all. */
export type Settings = { readonly [Section in keyof Config]?: Partial<Config[Section]> | undefined } & {
  /** A file to start from, `embedge.toml` for example; what stands beside it here is stronger. */
  readonly configFile?: string;
};

export interface ServerConfig {
  readonly host: string;
  readonly port: number;
  readonly bodyBytesMax: number;
  readonly headersTimeoutMs: number;
  readonly bodyTimeoutMs: number;
  readonly requestTimeoutMs: number;
  readonly requestTimeoutMsMax: number;
  readonly drainMs: number;
  readonly allowedHosts: readonly string[];
  readonly allowedOrigins: readonly string[];
}

export interface ModelsConfig {
  readonly default: string;
  readonly dir: string;
  readonly aliases: Readonly<Record<string, string>>;
  readonly served: readonly string[];
  readonly memoryBytesMax: number | "auto";
}

export interface PoolConfig {
  readonly python: string;
  readonly blas: string;
  readonly workers: number | "auto";
  readonly spares: number;
  readonly permits: number;
  readonly startTimeoutMs: number;
  readonly batchTimeoutMs: number;
  readonly workerMemoryBytesMax: number | "auto";
  readonly device: "auto" | "cpu" | "gpu";
  readonly pin: "auto" | "on" | "off";
}

export type LogLevel = (typeof logLevels)[number];

const logLevels = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;

const DAY_MS = 86_400_000;

const durationMs = (maxMs: number): z.ZodNumber => z.int().min(1).max(maxMs);
const nameList = z.array(z.string().min(1)).max(1_000).default([]);

const server = z.strictObject({
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
    .describe("Longest request body in bytes; a longer one gets 413."),
  headersTimeoutMs: durationMs(DAY_MS).default(10_000).describe("Time a client has to send the request headers."),
  bodyTimeoutMs: durationMs(DAY_MS).default(30_000).describe("Time a client has to send the request body; then 408."),
  requestTimeoutMs: durationMs(DAY_MS)
    .default(30_000)
    .describe("Deadline of a request that asks for none with `x-request-timeout-ms`; then 504."),
  requestTimeoutMsMax: durationMs(DAY_MS)
    .default(600_000)
    .describe("Longest deadline a request may ask for; a longer one is cut to this."),
  drainMs: z
    .int()
    .min(0)
    .max(DAY_MS)
    .default(30_000)
    .describe("Time that running requests have to finish at shutdown."),
  allowedHosts: nameList.describe(
    "Host names accepted in the Host header besides loopback names and `server.host`; `*` accepts all.",
  ),
  allowedOrigins: nameList.describe("Origins of web pages that may call this host (CORS); `*` accepts all."),
});

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

const pool = z.strictObject({
  python: z.string().min(1).default("auto").describe("Python of the workers; `auto` is the one that the set-up made."),
  blas: z
    .string()
    .min(1)
    .default("auto")
    .describe(
      "BLAS library put in front of MLX's own on Linux: `auto` is the one that the set-up made, `none` keeps MLX's.",
    ),
  workers: z
    .union([z.literal("auto"), z.int().min(1).max(64)])
    .default("auto")
    .describe(
      "Python processes of each model that is loaded, each with the whole model. `auto`: one per core and 4 at most on CPU, one on Metal; never more than permits.",
    ),
  spares: z
    .int()
    .min(0)
    .max(16)
    .default(0)
    .describe(
      "Further Python processes that stand by with the model loaded: one takes the place of a lost worker at once, not after a start. Each needs a worker's memory.",
    ),
  permits: z.int().min(1).max(64).default(4).describe("Batches that may run at the same time in the whole pool."),
  startTimeoutMs: durationMs(DAY_MS)
    .default(60_000)
    .describe("Time a worker has until its first vector; then it is killed and started again."),
  batchTimeoutMs: durationMs(DAY_MS)
    .default(30_000)
    .describe("Time a worker has for one batch; then it is killed and started again."),
  workerMemoryBytesMax: z
    .union([z.literal("auto"), z.int().min(2 ** 20)])
    .default("auto")
    .describe(
      "Memory of one worker (Linux); one that holds more after a minute of service is replaced, its successor first. `auto`: 80 % of the machine's, or of the container's limit, shared by the workers.",
    ),
  device: z
    .enum(["auto", "cpu", "gpu"])
    .default("auto")
    .describe(
      "Where MLX runs; `auto` is Metal on Apple silicon, else CPU. `gpu` on Linux needs the extra `cuda`: `npm run setup -- --cuda`.",
    ),
  pin: z
    .enum(["auto", "on", "off"])
    .default("auto")
    .describe(
      "Ties each worker to a core of its own (Linux), a few per cent faster. `auto`: where there is one for each.",
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
  inputsMax: z.int().min(1).max(10_000_000).default(8_192).describe("Inputs that may wait for one model; then 429."),
  tokensMax: z
    .int()
    .min(1)
    .max(10_000_000_000)
    .default(2_000_000)
    .describe("Tokens (estimated) that may wait for one model; then 429."),
});

const limits = z.strictObject({
  textsMax: z.int().min(1).max(100_000).default(100).describe("Texts of one `env.AI.run`. Workers AI allows 100."),
  textBytesMax: z
    .int()
    .min(1)
    .max(2 ** 30)
    .default(2 ** 20)
    .describe("Longest text in bytes of UTF-8. A text past the model's token limit but within this one is cut."),
});

const log = z.strictObject({
  level: z.enum(logLevels).default("info").describe("Least severe lines that are written."),
  format: z.enum(["auto", "json", "pretty"]).default("auto").describe("`auto`: pretty on a terminal, else JSON lines."),
});

const root = z.strictObject({
  server: server.prefault({}).describe("The HTTP server."),
  functions: z
    .strictObject({
      dir: z
        .string()
        .min(1)
        .default("functions")
        .describe(
          "Folder of the functions: one file per route. Without this setting and without that folder, those that come with embedge.",
        ),
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
  pool: pool.prefault({}).describe("The Python workers."),
  batch: batch.prefault({}).describe("What one forward pass holds."),
  queue: queue.prefault({}).describe("What may wait before callers get 429."),
  limits: limits.prefault({}).describe("What one call may ask for."),
  log: log.prefault({}).describe("Log lines, on standard error."),
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
  });
