import path from "node:path";
import { pathToFileURL } from "node:url";
import type { Env } from "../../functions/_types.ts";
import type { Clock } from "../clock.ts";
import type { AiScope } from "./ai-binding.ts";
import { readHandler } from "./function-module.ts";
import { createFunctionRunner, type FunctionCall, type FunctionRunner } from "./function-runner.ts";
import type { Invoker } from "./invocation.ts";
import { createLiveRoutes } from "./live-routes.ts";
import type { Route, RouteTable } from "./route-table.ts";
import { createWorkerMatcher, type WorkerMatcher } from "./worker-patterns.ts";

/** One Worker as it is asked for. Its code is one of the three: a folder of functions, a module's file, a module's text. */
export interface WorkerOptions {
  readonly name: string;
  /** Route patterns, as in wrangler.toml: they choose between the Workers of one host. */
  readonly routes?: readonly string[] | undefined;
  readonly functions?: string | undefined;
  readonly scriptPath?: string | undefined;
  readonly script?: string | undefined;
  /** What it finds in `env` beside `AI`. */
  readonly bindings?: Readonly<Record<string, unknown>> | undefined;
}

/** A Worker that can run. */
export interface HostedWorker {
  readonly name: string;
  readonly routes: readonly string[];
  readonly runner: FunctionRunner;
  readonly createEnv: (scope: AiScope) => Env;
  /** What is wrong with its files. */
  problems(): readonly string[];
  /** Loads its functions anew; resolves with what is wrong. */
  reload(): Promise<readonly string[]>;
}

export interface WorkerLoader {
  readonly clock: Clock;
  readonly loadTimeoutMs: number;
  readonly invoker: Pick<Invoker, "invoke">;
  readonly bodyBytesMax: number;
  readonly createEnv: (bindings: Readonly<Record<string, unknown>>, scope: AiScope) => Env;
}

/** Loads a Worker's code. Throws where a folder cannot be served or a module has no handler. */
export async function loadWorker(options: WorkerOptions, loader: WorkerLoader): Promise<HostedWorker> {
  const { name, routes = [], functions, bindings = {} } = options;
  const { invoker, bodyBytesMax, clock, loadTimeoutMs } = loader;
  const createEnv = (scope: AiScope): Env => loader.createEnv(bindings, scope);
  const live =
    functions === undefined
      ? await loadModule(options)
      : await createLiveRoutes({ folder: path.resolve(functions), clock, loadTimeoutMs });
  return {
    name,
    routes,
    createEnv,
    runner: createFunctionRunner({
      routes: live,
      invoker: { invoke: (invocation) => invoker.invoke({ ...invocation, createEnv }) },
      bodyBytesMax,
    }),
    problems: () => live.problems(),
    reload: () => live.reload(),
  };
}

interface Loaded extends Pick<RouteTable, "match"> {
  problems(): readonly string[];
  reload(): Promise<readonly string[]>;
}

/** A plain Worker: one handler for every path. */
async function loadModule({ name, scriptPath, script }: WorkerOptions): Promise<Loaded> {
  if (scriptPath === undefined && script === undefined) {
    throw new TypeError(`The Worker "${name}" has no code: give it functions, scriptPath or script.`);
  }
  const url =
    scriptPath === undefined
      ? `data:text/javascript;charset=utf-8,${encodeURIComponent(script ?? "")}`
      : pathToFileURL(path.resolve(scriptPath)).href;
  const module = (await import(url)) as Readonly<Record<string, unknown>>;
  const handler = readHandler(module);
  // Of such a Worker every method is its own business, OPTIONS too.
  const route: Route = { pattern: "/[[path]]", file: scriptPath ?? name, methods: undefined, handler };
  return { match: () => ({ route, params: {} }), problems: () => [], reload: async () => [] };
}

/** The Workers of one host, over one pool. */
export interface WorkerSet extends FunctionRunner {
  /** The first one answers what no route claims; `call.worker` names one whatever its routes say. */
  run(call: FunctionCall): ReturnType<FunctionRunner["run"]>;
  /** The first one, or the one of this name; undefined where there is none. */
  find(name?: string): HostedWorker | undefined;
  /** The names of hosts that stand in routes whole. */
  hostnames(): readonly string[];
  /** What runs goes on where it began. Throws WorkerPatternError, and then nothing has changed. */
  replace(workers: readonly HostedWorker[]): void;
  reload(): Promise<readonly string[]>;
}

/** `workers`: at least one. Throws WorkerPatternError. */
export function createWorkerSet(workers: readonly HostedWorker[]): WorkerSet {
  let matcher = matcherOf(workers);
  let current = workers;
  const find = (name?: string): HostedWorker | undefined =>
    name === undefined ? current[0] : current.find((worker) => worker.name === name);
  return {
    find,
    run(call) {
      const worker = find(call.worker ?? matcher.match(call.url)) ?? find();
      if (worker === undefined) throw new Error("The host has no Worker; a bug of whoever made the set.");
      return worker.runner.run(call);
    },
    hostnames: () => matcher.hostnames,
    problem: () => current[0]?.runner.problem?.(),
    replace(next) {
      matcher = matcherOf(next);
      current = next;
    },
    async reload() {
      return (await Promise.all(current.map((worker) => worker.reload()))).flat();
    },
  };
}

function matcherOf(workers: readonly HostedWorker[]): WorkerMatcher {
  return createWorkerMatcher(workers.map(({ name, routes }) => ({ name, patterns: routes })));
}
