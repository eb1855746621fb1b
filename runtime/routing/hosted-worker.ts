import path from "node:path";
import { pathToFileURL } from "node:url";
import type { Env } from "../../functions/_types.ts";
import type { Clock } from "../clock.ts";
import { AppError } from "../errors.ts";
import type { AiScope } from "./ai-scope.ts";
import type { BodyBudget } from "./body-budget.ts";
import { callerOfRoute, type CallerRules } from "./caller.ts";
import { checkCrons, type CronEvent } from "./crons.ts";
import { failureResponse } from "./error-response.ts";
import type { EventInvoker } from "./event-invocation.ts";
import { createFunctionRunner, type FunctionRunner } from "./function-runner.ts";
import { type Invocation, type InvocationResult, type Invoker, NO_TALLY } from "./invocation.ts";
import { type Declared, type Lease, LiveBindings, NOTHING_DECLARED } from "./live-bindings.ts";
import { createLiveRoutes, type LiveRoutes } from "./live-routes.ts";
import { toFunction } from "./loaded-function.ts";
import type { OpenLocalBindings } from "./local-bindings.ts";
import type { Route } from "./route-table.ts";
import { createWorkerEvents } from "./worker-events.ts";
import { setOuterEnv } from "./worker-scope.ts";
import { allowWorkersImport, type WorkersImport } from "./workers-import.ts";

/** One Worker as it is asked for. Its code is one of the three: a folder of functions, a module's file, a module's text. */
export interface WorkerOptions {
  readonly name: string;
  /** Route patterns, as in wrangler.toml: they choose between the Workers of one host. */
  readonly routes?: readonly string[] | undefined;
  readonly functions?: string | undefined;
  readonly scriptPath?: string | undefined;
  readonly script?: string | undefined;
  /** What it finds in `env` beside `AI`, above what is declared. */
  readonly bindings?: Readonly<Record<string, unknown>> | undefined;
  /** Reads what its wrangler configuration declares; asked again at each reload. Throws where it cannot be read. */
  readonly declared?: (() => Declared) | undefined;
}

/** A Worker that can run. */
export interface HostedWorker {
  readonly name: string;
  readonly routes: readonly string[];
  readonly runner: FunctionRunner;
  readonly createEnv: (scope: AiScope) => Env;
  /** The routes of its functions; none where they run somewhere else, or for one handler of everything. */
  functions(): readonly Route[];
  /** What is wrong with its files. */
  problems(): readonly string[];
  /** Loads its functions anew, and reads what is declared; resolves with what is wrong. */
  reload(): Promise<readonly string[]>;
  /** Runs its handler `scheduled`; rejects where that fails, or there is none. */
  scheduled(event: CronEvent): Promise<void>;
  /** Brings up what it is bound to, and its crons; rejects where that cannot be. */
  start(): Promise<void>;
  /** No event begins any more. */
  stopEvents(): void;
  /** Resolves when nothing is left of what it is bound to. */
  close(): Promise<void>;
}

export interface WorkerLoader {
  readonly clock: Clock;
  readonly loadTimeoutMs: number;
  readonly invoker: Pick<Invoker, "invoke">;
  readonly events: Pick<EventInvoker, "invokeEvent">;
  /** Read at each request, since it may change. */
  readonly bodyBytesMax: number;
  readonly bodies?: BodyBudget | undefined;
  /** Read at each request, since they may change. */
  readonly callerRules: CallerRules;
  readonly createEnv: (bindings: Readonly<Record<string, unknown>>, ai: string, scope: AiScope) => Env;
  readonly openLocal: OpenLocalBindings;
  /** Told of an event whose handler failed, and of bindings that cannot be had. */
  readonly onFailure: (what: string, cause: unknown) => void;
}

/** Loads a Worker's code. Throws where a folder cannot be served, a module has no handler, or a cron is wrong. */
export async function loadWorker(options: WorkerOptions, loader: WorkerLoader): Promise<HostedWorker> {
  const { name, routes = [] } = options;
  const bindings = new LiveBindings({
    declared: readDeclared(options),
    open: loader.openLocal,
    deliver: (batch) => events.deliver(batch),
    failed: (cause) => loader.onFailure(`${name}: its bindings`, cause),
  });
  const createEnv = (own: Readonly<Record<string, unknown>>, scope: AiScope): Env =>
    loader.createEnv(own, bindings.declared.ai ?? "AI", scope);
  const imports = allowImports(options);
  const settle = (): void => {
    const { bindings: vars, ai = "AI", local, crons } = bindings.declared;
    if (imports !== undefined) setOuterEnv(imports.key, { vars, bindings: [...(local?.names ?? []), ai] });
    events.change(crons);
  };
  const events = createWorkerEvents({
    handlers: () => code.events(),
    bindings,
    createEnv,
    invoker: loader.events,
    failed: (event, cause) => loader.onFailure(`${name}: ${event}`, cause),
  });
  settle();
  const code = await loadCode(options, loader).catch((error: unknown) => {
    imports?.release();
    throw error;
  });
  const runner = createFunctionRunner({
    routes: code,
    invoker: { invoke: (invocation) => invokeBound(invocation, { bindings, createEnv, invoker: loader.invoker }) },
    get bodyBytesMax() {
      return loader.bodyBytesMax;
    },
    bodies: loader.bodies,
    callerOf: (caller, route) => callerOfRoute(caller, { worker: name, route }, loader.callerRules),
  });
  return {
    name,
    routes,
    createEnv: (scope) => createEnv(bindings.latest, scope),
    runner: { ...runner, problem: () => bindings.problem },
    functions: () => code.list(),
    problems: () => code.problems(),
    async reload() {
      const problems = await code.reload();
      try {
        bindings.redeclare(readDeclared(options));
      } catch (error) {
        return [...problems, error instanceof Error ? error.message : String(error)];
      }
      settle();
      return problems;
    },
    scheduled: (event) => events.scheduled(event),
    async start() {
      events.start();
      await bindings.start();
    },
    stopEvents: () => events.stop(),
    async close() {
      events.stop();
      imports?.release();
      await bindings.close();
    },
  };
}

/** Throws what reading throws, and CronPatternError. */
function readDeclared({ declared, bindings }: WorkerOptions): Declared {
  const read = declared?.() ?? NOTHING_DECLARED;
  checkCrons(read.crons);
  return { ...read, bindings: { ...read.bindings, ...bindings } };
}

/** The modules beside its functions, or beside its `main`, may import `cloudflare:workers`. */
function allowImports({ functions, scriptPath }: WorkerOptions): WorkersImport | undefined {
  const code = functions ?? scriptPath;
  return code === undefined ? undefined : allowWorkersImport(path.dirname(path.resolve(code)));
}

interface Code extends Pick<LiveRoutes, "match" | "list" | "events" | "problems" | "reload"> {}

async function loadCode(options: WorkerOptions, { clock, loadTimeoutMs }: WorkerLoader): Promise<Code> {
  const { name, functions, scriptPath, script } = options;
  if (functions !== undefined) return createLiveRoutes({ folder: path.resolve(functions), clock, loadTimeoutMs });
  if (scriptPath === undefined && script === undefined) {
    throw new TypeError(`The Worker "${name}" has no code: give it functions, scriptPath or script.`);
  }
  const url =
    scriptPath === undefined
      ? `data:text/javascript;charset=utf-8,${encodeURIComponent(script ?? "")}`
      : pathToFileURL(path.resolve(scriptPath)).href;
  const module = (await import(url)) as Readonly<Record<string, unknown>>;
  const { events, ...route } = toFunction({ pattern: "/[[path]]", file: scriptPath ?? name }, module);
  // Of a plain Worker every path and every method is its own business, OPTIONS too.
  const match = { route: { ...route, methods: undefined }, params: {} };
  return { match: () => match, list: () => [], events: () => events, problems: () => [], reload: async () => [] };
}

interface Bound {
  readonly bindings: LiveBindings;
  readonly createEnv: (own: Readonly<Record<string, unknown>>, scope: AiScope) => Env;
}

async function invokeBound(
  invocation: Invocation,
  { bindings, createEnv, invoker }: Bound & { readonly invoker: Pick<Invoker, "invoke"> },
): Promise<InvocationResult> {
  let lease: Lease;
  try {
    lease = await bindings.acquire();
  } catch (cause) {
    const message = "The bindings cannot be had: workerd does not run.";
    const error = new AppError("worker_failed", { message, cause });
    return { response: failureResponse(error, invocation.answerFailure), error, embedded: NO_TALLY };
  }
  try {
    return await invoker.invoke({ ...invocation, createEnv: (scope) => createEnv(lease.bindings, scope) });
  } finally {
    lease.release();
  }
}
