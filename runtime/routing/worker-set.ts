import type { FunctionCall, FunctionRunner } from "./function-runner.ts";
import type { HostedWorker } from "./hosted-worker.ts";
import { createWorkerMatcher, type WorkerMatcher } from "./worker-patterns.ts";

/** The Workers of one host, over one pool. */
export interface WorkerSet extends FunctionRunner {
  /** The first one answers what no route claims; `call.worker` names one whatever its routes say. */
  run(call: FunctionCall): ReturnType<FunctionRunner["run"]>;
  /** The first one, or the one of this name; undefined where there is none. */
  find(name?: string): HostedWorker | undefined;
  /** The one that answers a URL. */
  at(url: URL): HostedWorker;
  /** The names of hosts that stand in routes whole. */
  hostnames(): readonly string[];
  /** What runs goes on where it began. Throws WorkerPatternError, and then nothing has changed. */
  replace(workers: readonly HostedWorker[]): void;
  reload(): Promise<readonly string[]>;
  /** Brings up what the Workers are bound to, and what fires by the clock; rejects where that cannot be. */
  start(): Promise<void>;
  /** No event begins any more. */
  stopEvents(): void;
  /** Resolves when nothing is left of what they are bound to. */
  close(): Promise<void>;
}

/** `workers`: at least one. Throws WorkerPatternError. */
export function createWorkerSet(workers: readonly HostedWorker[]): WorkerSet {
  let matcher = matcherOf(workers);
  let current = workers;
  let isStarted = false;
  const find = (name?: string): HostedWorker | undefined =>
    name === undefined ? current[0] : current.find((worker) => worker.name === name);
  const choose = (name: string | undefined): HostedWorker => {
    const worker = find(name) ?? find();
    if (worker === undefined) throw new Error("The host has no Worker; a bug of whoever made the set.");
    return worker;
  };
  return {
    find,
    at: (url) => choose(matcher.match(url)),
    run: (call) => choose(call.worker ?? matcher.match(call.url)).runner.run(call),
    hostnames: () => matcher.hostnames,
    problem: () => current.map(({ runner }) => runner.problem?.()).find((problem) => problem !== undefined),
    replace(next) {
      matcher = matcherOf(next);
      const before = current;
      current = next;
      for (const worker of before) void worker.close();
      if (isStarted) for (const worker of next) void worker.start();
    },
    async reload() {
      return (await Promise.all(current.map((worker) => worker.reload()))).flat();
    },
    async start() {
      isStarted = true;
      await Promise.all(current.map((worker) => worker.start()));
    },
    stopEvents() {
      for (const worker of current) worker.stopEvents();
    },
    async close() {
      await Promise.all(current.map((worker) => worker.close()));
    },
  };
}

function matcherOf(workers: readonly HostedWorker[]): WorkerMatcher {
  return createWorkerMatcher(workers.map(({ name, routes }) => ({ name, patterns: routes })));
}
