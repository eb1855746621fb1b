import { z } from "zod";
import { DAY_MS, durationMs, live } from "./server-schema.ts";

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
  readonly fast: "auto" | "off";
  readonly pin: "auto" | "on" | "off";
}

/** The section `[pool]`. */
export const poolSchema: z.ZodType<PoolConfig, { readonly [Key in keyof PoolConfig]?: unknown }> = z.strictObject({
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
  permits: z
    .int()
    .min(1)
    .max(64)
    .default(4)
    .meta(live)
    .describe("Batches that may run at the same time in the whole pool."),
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
  fast: z
    .enum(["auto", "off"])
    .default("auto")
    .describe(
      "The extra `fast` on a CPU; `auto`: where it is installed (`npm run setup -- --fast`; `npm test` does so too).",
    ),
  pin: z
    .enum(["auto", "on", "off"])
    .default("auto")
    .describe(
      "Ties each worker to a core of its own (Linux), a few per cent faster. `auto`: where there is one for each.",
    ),
});
