import { systemClock } from "./clock.ts";
import type { HostParts } from "./compose/host-parts.ts";
import { buildDoors } from "./compose/doors.ts";
import { buildEmbedder } from "./compose/embedder.ts";
import { createLiveConfig } from "./compose/live-config.ts";
import { createPermitShares } from "./compose/permit-shares.ts";
import { buildDispatcher, buildPool } from "./compose/pool.ts";
import { changeSettings } from "./compose/settings-change.ts";
import { buildUpstream } from "./compose/upstream.ts";
import { buildWorkers, logProblems } from "./compose/workers.ts";
import { packageVersion, sizePool, thisMachine } from "./config/installation.ts";
import { settleSettings } from "./config/load.ts";
import type { Config, Settings } from "./config/schema.ts";
import { findServedModels } from "./config/served-models.ts";
import { ComposedHost, type Host } from "./host.ts";
import { HostState } from "./host/host-state.ts";
import { createApp } from "./http/app.ts";
import { openApiDocument } from "./http/openapi.ts";
import { readinessOf } from "./http/readiness.ts";
import { createLog, type Log } from "./observe/log.ts";
import { createMetrics } from "./observe/metrics.ts";
import { logRequest } from "./observe/request-log.ts";
import { createBodyBudget } from "./routing/body-budget.ts";
import type { WorkerPool } from "./pool/worker-pool.ts";
import { needsSetUp, setUpWorkers } from "./set-up.ts";

/**
 * Puts all rooms together. No worker runs and no port is open before `ready`, `listen`, `fetch` or `embed`.
 * Of the installed package the first call on a machine fetches the Python packages and the default model, which takes a minute.
 *
 * `settings` are those of embedge.toml, checked in the same way; no file of settings and no variable is read unless `configFile`
 * names one. What a wrangler configuration beside the functions declares counts (docs/bindings.md).
 */
export async function createHost(settings: Settings = {}, parts: HostParts = {}): Promise<Host> {
  const config = settleSettings(settings, process.cwd());
  const log = createLog(config.log);
  try {
    if (needsSetUp(config)) await setUpLogged(log);
    return await composeHost(config, log, parts);
  } catch (error) {
    await log.close();
    throw error;
  }
}

async function composeHost(settled: Config, log: Log, parts: HostParts): Promise<Host> {
  const { clock = systemClock, random = Math.random, wrapPool = (pool: WorkerPool) => pool } = parts;
  const live = createLiveConfig(settled);
  const { config } = live;
  const { models, problems } = findServedModels(config);
  for (const problem of problems) log.logger.warn({ problem }, "model not served");
  const state = new HostState();
  const metrics = createMetrics({
    queueInputs: () => dispatcher.snapshot().queueInputs,
    readyWorkers: () => state.readyWorkers.size,
    models: () =>
      dispatcher.snapshot().models.map((each) => ({ ...each, workersReady: state.readyWorkersOf(each.model) })),
  });
  const sizing = sizePool(config, thisMachine());
  const pool = buildPool(config, { sizing, models, wrapPool, clock, random, log, metrics });
  const dispatcher = buildDispatcher(config, { sizing, models, pool, clock, random, metrics });
  const permitShares = createPermitShares({ ...sizing, dispatcher });
  const embedder = buildEmbedder(config, { dispatcher, models, info: (model) => state.models.get(model) });
  const bodies = createBodyBudget({ bytesMax: () => config.queue.bytesMax, clock, random });
  const [model] = models;
  const { invoker, workers, loadWorkers } = await buildWorkers(config, { parts, model, embedder, clock, log, bodies });
  const operations = {
    openApi: () => openApiDocument({ version: packageVersion(), routes: workers.find()?.functions() ?? [] }),
    readiness: () => {
      const serving = state.serving(pool.status(), dispatcher.snapshot().models);
      return readinessOf({ ...serving, functionsProblem: workers.problem?.() });
    },
    metrics: () => metrics.read(),
  };
  const doors = buildDoors(config, { clock, operations, routeHosts: () => workers.hostnames() });
  const app = createApp({
    doors: doors.app,
    functions: workers,
    operations,
    clock,
    onRequest: (record) => {
      if (record.error !== undefined) metrics.rejected(record.error.code);
      if (record.kind !== "operation") metrics.requestFinished(record);
      logRequest(log.logger, record);
    },
  });
  return new ComposedHost({
    config,
    clock,
    log,
    state,
    pool,
    dispatcher,
    embedder,
    invoker,
    workers,
    replaceWorkers: async (options) => workers.replace(await loadWorkers(options)),
    reloadFunctions: async () => logProblems(log, await workers.reload()),
    fetch: (request, mount) => app.fetch(request, { mount }),
    upstream: buildUpstream(config, { embedder, clock, log, metrics, bodies }),
    takesBody: (bytes) => bytes <= config.server.bodyBytesMax && bodies.fits(bytes),
    metricsDoor: doors.metrics,
    checkExposure: () => doors.checkExposure(),
    connectionDropped: () => metrics.connectionDropped(),
    connectionFailed({ code }) {
      metrics.rejected(code);
      log.logger[code === "body_already_read" ? "error" : "debug"]({ code }, "connection ended with an error");
    },
    poolListener: permitShares,
    changeSettings: (settings) => changeSettings(settings, { live, doors, permitShares, log }),
  });
}

/** The set-up inside somebody else's process: its progress is lines of the log. */
async function setUpLogged(log: Log): Promise<void> {
  const out = { isTTY: false, write: (text: string) => log.logger.info(text.trim()) };
  await setUpWorkers(out, new AbortController().signal);
}
