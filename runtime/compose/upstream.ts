import type { Clock } from "../clock.ts";
import type { Config } from "../config/schema.ts";
import type { Embedder } from "../embedder/embedder.ts";
import { createAiUpstream } from "../http/ai-upstream.ts";
import type { Log } from "../observe/log.ts";
import type { Metrics } from "../observe/metrics.ts";
import { logRun } from "../observe/request-log.ts";
import type { BodyBudget } from "../routing/body-budget.ts";
import { embedForAi } from "../routing/ai-binding.ts";

export interface UpstreamParts {
  readonly embedder: Embedder;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly bodies: BodyBudget;
}

/** What `env.AI` inside workerd talks to. */
export function buildUpstream(config: Config, parts: UpstreamParts): (request: Request) => Promise<Response> {
  const { embedder, clock, log, metrics, bodies } = parts;
  return createAiUpstream({
    embed: (run) => embedForAi(embedder, run, config.limits),
    models: () => embedder.models(),
    clock,
    bodies,
    // Asked for at each use, since they may change while the host runs.
    get requestTimeoutMs() {
      return config.server.requestTimeoutMsMax;
    },
    get bodyBytesMax() {
      return config.server.bodyBytesMax;
    },
    onGateway: () =>
      log.logger.warn("a function asks for an AI Gateway: there is none here, its runs are served without"),
    onRun: (record) => {
      if (record.error !== undefined) metrics.rejected(record.error.code);
      logRun(log.logger, record);
    },
  });
}
