import type { Env } from "../../functions/_types.ts";
import type { Clock } from "../clock.ts";
import type { ModelFolder } from "../config/model-folder.ts";
import { readProject } from "../config/project.ts";
import type { Config } from "../config/schema.ts";
import type { Embedder } from "../embedder/embedder.ts";
import type { Log } from "../observe/log.ts";
import { describeFailure } from "../observe/request-log.ts";
import { type AiScope, bindAi } from "../routing/ai-binding.ts";
import type { FunctionRunner } from "../routing/function-runner.ts";
import { createInvoker, type Invoker } from "../routing/invocation.ts";
import {
  createWorkerSet,
  type HostedWorker,
  loadWorker,
  type WorkerOptions,
  type WorkerSet,
} from "../routing/worker-set.ts";
import type { HostParts } from "./host-parts.ts";

const FUNCTION_LOAD_TIMEOUT_MS = 10_000;
const WAIT_UNTIL_MS = 30_000;

export interface WorkerParts {
  readonly parts: HostParts;
  readonly model: ModelFolder;
  readonly embedder: Embedder;
  readonly clock: Clock;
  readonly log: Log;
}

export interface BuiltWorkers {
  readonly invoker: Invoker;
  readonly workers: WorkerSet;
  readonly loadWorkers: (options: readonly WorkerOptions[]) => Promise<readonly HostedWorker[]>;
}

/** The functions and projects of the settings, and what invokes them. */
export async function buildWorkers(
  config: Config,
  { parts, model, embedder, clock, log }: WorkerParts,
): Promise<BuiltWorkers> {
  const { bodyBytesMax, requestTimeoutMs, requestTimeoutMsMax } = config.server;
  // EMBEDDING_MODEL is what functions/_texts.ts runs where a request names no model: a host without aliases serves too.
  const createEnv = (bindings: object, scope: AiScope): Env =>
    Object.freeze({ EMBEDDING_MODEL: model.name, ...bindings, AI: bindAi(embedder, scope, config.limits) });
  const createOwnEnv = (scope: AiScope): Env => createEnv(config.vars, scope);
  const invoker = createInvoker({
    clock,
    createEnv: createOwnEnv,
    requestTimeoutMs,
    requestTimeoutMsMax,
    waitUntilMs: WAIT_UNTIL_MS,
    onBackgroundFailure: (id, cause) => log.logger.error({ id, stack: describeFailure(cause) }, "waitUntil failed"),
  });
  const loader = { clock, loadTimeoutMs: FUNCTION_LOAD_TIMEOUT_MS, invoker, bodyBytesMax, createEnv };
  const loadWorkers: BuiltWorkers["loadWorkers"] = async (options) => {
    const loaded = await Promise.all(options.map((worker) => loadWorker(worker, loader)));
    for (const worker of loaded) logProblems(log, worker.problems());
    return loaded;
  };
  const { functions } = parts;
  const first =
    functions === undefined
      ? await loadWorkers(parts.workers ?? workersOf(config))
      : [emulatedWorker(functions, createOwnEnv)];
  return { invoker, workers: createWorkerSet(first), loadWorkers };
}

/** The functions, and the projects beside them. */
function workersOf({ functions, projects, vars }: Config): readonly WorkerOptions[] {
  const own = { name: "functions", functions: functions.dir, bindings: vars };
  return [own, ...Object.entries(projects).map(([name, folder]) => readProject(name, folder))];
}

/** The functions as one Worker that runs somewhere else. */
function emulatedWorker(runner: FunctionRunner, createEnv: HostedWorker["createEnv"]): HostedWorker {
  return { name: "functions", routes: [], runner, createEnv, problems: () => [], reload: async () => [] };
}

export function logProblems(log: Log, problems: readonly string[]): void {
  for (const problem of problems) log.logger.error({ problem }, "function not loaded");
}
