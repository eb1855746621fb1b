import type { Logger } from "pino";

/** What a pool tells of itself; `type` decides how loud it is. */
export interface PoolLogEvent {
  readonly type: string;
  readonly [field: string]: unknown;
}

/** Routine; everything else that a pool tells is a reason to look. */
const levels: Readonly<Record<string, "debug" | "info">> = {
  worker_started: "debug",
  worker_ready: "info",
  model_loading: "info",
  model_loaded: "info",
  model_unloaded: "info",
  worker_output: "debug",
};

/** One line for one event of the pool; what a worker prints is debug. */
export function logPoolEvent(logger: Logger, { type, ...fields }: PoolLogEvent): void {
  const level = fields["reason"] === "stopped" ? "debug" : (levels[type] ?? "warn");
  // Durations come from a clock of nanoseconds; nobody reads those.
  const rounded = Object.entries(fields).map(([name, value]) => [
    name,
    typeof value === "number" ? Math.round(value) : value,
  ]);
  logger[level](Object.fromEntries(rounded), type.replaceAll("_", " "));
}
