import type { Env } from "../../functions/_types.ts";
import type { Clock } from "../clock.ts";
import type { ModelFolder } from "../config/model-folder.ts";
import { readDeclared, readProject } from "../config/project.ts";
import type { Config } from "../config/schema.ts";
import type { Embedder } from "../embedder/embedder.ts";
import type { Log } from "../observe/log.ts";
import { describeFailure } from "../observe/request-log.ts";
import { bindAi } from "../routing/ai-binding.ts";
import type { AiScope } from "../routing/ai-scope.ts";
import { createEventInvoker } from "../routing/event-invocation.ts";
import type { FunctionRunner } from "../routing/function-runner.ts";
import type { BodyBudget } from "../routing/body-budget.ts";
import { type HostedWorker, loadWorker, type WorkerOptions } from "../routing/hosted-worker.ts";
import { createInvoker, type Invoker } from "../routing/invocation.ts";
import { withTriggers } from "../routing/trigger-handlers.ts";
import { runInScope } from "../routing/worker-scope.ts";
import { createWorkerSet, type WorkerSet } from "../routing/worker-set.ts";
import type { HostParts } from "./host-parts.ts";
import { openLocal } from "./local-bindings.ts";

const FUNCTION_LOAD_TIMEOUT_MS = 10_000;
const WAIT_UNTIL_MS = 30_000;
/** Cloudflare's own limit for crons and queues. */
const EVENT_TIMEOUT_MS = 900_000;

export interface WorkerParts {
  readonly parts: HostParts;
  readonly model: ModelFolder;
  readonly embedder: Embedder;
  readonly clock: Clock;
  readonly log: Log;
  readonly bodies: BodyBudget;
}

export interface BuiltWorkers {
  readonly invoker: Pick<Invoker, "abortAll" | "idle">;
  readonly workers: WorkerSet;
  readonly loadWorkers: (options: readonly WorkerOptions[]) => Promise<readonly HostedWorker[]>;
}

/** The functions and projects of the settings, and what invokes them. */
export async function buildWorkers(
  config: Config,
  { parts, model, embedder, clock, log, bodies }: WorkerParts,
): Promise<BuiltWorkers> {
  // For functions/_texts.ts: what it runs where a request names no model, and how many texts one run may hold.
  const createEnv = (bindings: object, aiName: string, scope: AiScope): Env => {
    const AI = bindAi(embedder, scope, config.limits);
    const own = { EMBEDDING_MODEL: model.name, EMBEDDING_TEXTS_MAX: String(config.limits.textsMax) };
    return Object.freeze({ ...own, ...bindings, [aiName]: AI, AI });
  };
  const createOwnEnv = (scope: AiScope): Env => createEnv(config.vars, "AI", scope);
  const logFailure = (facts: object, cause: unknown, what: string): void =>
    log.logger.error({ ...facts, stack: describeFailure(cause) }, what);
  const running = {
    clock,
    within: runInScope,
    waitUntilMs: WAIT_UNTIL_MS,
    onBackgroundFailure: (id: string, cause: unknown) => logFailure({ id }, cause, "waitUntil failed"),
  };
  // What a getter gives is asked for at each use, since it may change while the host runs.
  const invoker = createInvoker({
    ...running,
    createEnv: createOwnEnv,
    get requestTimeoutMs() {
      return config.server.requestTimeoutMs;
    },
    get requestTimeoutMsMax() {
      return config.server.requestTimeoutMsMax;
    },
  });
  const events = createEventInvoker({
    ...running,
    get requestTimeoutMs() {
      return config.server.requestTimeoutMs;
    },
    eventTimeoutMs: EVENT_TIMEOUT_MS,
  });
  const loader = {
    clock,
    loadTimeoutMs: FUNCTION_LOAD_TIMEOUT_MS,
    invoker,
    events,
    createEnv,
    bodies,
    get bodyBytesMax() {
      return config.server.bodyBytesMax;
    },
    get callerRules() {
      return { functionsAreTenants: config.queue.tenants === "functions", bulkRoutes: config.functions.bulk };
    },
    openLocal: openLocal(log),
    onFailure: (what: string, cause: unknown) => logFailure({ what }, cause, "event failed"),
  };
  const loadWorkers: BuiltWorkers["loadWorkers"] = async (options) => {
    const loading = options.map((worker) => loadWorker(worker, loader));
    const loaded = await Promise.all(loading).catch(async (error: unknown) => {
      await closeAll(await Promise.all(loading.map((worker) => worker.catch(() => undefined))));
      throw error;
    });
    for (const worker of loaded) logProblems(log, worker.problems());
    return loaded;
  };
  const first = parts.functions
    ? [emulatedWorker(parts.functions, createOwnEnv)]
    : await loadWorkers(parts.workers ?? workersOf(config));
  const workers = await setOf(first);
  const answering = parts.hasTriggers === true ? withTriggers(workers) : workers;
  return { invoker: together(invoker, events), workers: answering, loadWorkers };
}

async function setOf(loaded: readonly HostedWorker[]): Promise<WorkerSet> {
  try {
    return createWorkerSet(loaded);
  } catch (error) {
    await closeAll(loaded);
    throw error;
  }
}

async function closeAll(workers: readonly (HostedWorker | undefined)[]): Promise<void> {
  for (const worker of workers) await worker?.close();
}

/** The functions, and the projects beside them. What is in embedge.toml counts for the functions alone. */
function workersOf({ functions, projects, vars }: Config): readonly WorkerOptions[] {
  const { env } = process;
  const declared = (): ReturnType<typeof readDeclared> => readDeclared(functions.dir, env);
  const own = { name: "functions", functions: functions.dir, bindings: vars, declared };
  const others = Object.entries(projects).map(([name, folder]): WorkerOptions => {
    const { routes, functions: dir, scriptPath } = readProject(name, folder, env);
    return { name, routes, functions: dir, scriptPath, declared: () => readProject(name, folder, env) };
  });
  return [own, ...others];
}

type Ending = Pick<Invoker, "abortAll" | "idle">;

function together(...invokers: readonly Ending[]): Ending {
  return {
    abortAll() {
      for (const invoker of invokers) invoker.abortAll();
    },
    async idle() {
      await Promise.all(invokers.map((invoker) => invoker.idle()));
    },
  };
}

/** The functions as one Worker that runs somewhere else. */
function emulatedWorker(runner: FunctionRunner, createEnv: HostedWorker["createEnv"]): HostedWorker {
  const none = (): readonly never[] => [];
  return {
    name: "functions",
    routes: [],
    runner,
    createEnv,
    functions: none,
    problems: none,
    reload: async () => none(),
    // In workerd all this is wrangler's business.
    scheduled: async () => {},
    start: async () => {},
    stopEvents() {},
    close: async () => {},
  };
}

export function logProblems(log: Log, problems: readonly string[]): void {
  for (const problem of problems) log.logger.error({ problem }, "function not loaded");
}
