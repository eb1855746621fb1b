import { AsyncLocalStorage } from "node:async_hooks";
import type { RunScope } from "./invocation.ts";

/** What a Worker shows of its `env` while its modules load, and where nothing runs. */
export interface OuterEnv {
  readonly vars: Readonly<Record<string, unknown>>;
  /** The names of what is more than a variable: it can be named there, and used where something runs. */
  readonly bindings: readonly string[];
}

const scopes = new AsyncLocalStorage<RunScope>();

/** Calls a handler such that `cloudflare:workers` finds its environment, wherever it is asked below. */
export function runInScope<T>(scope: RunScope, call: () => T): T {
  return scopes.run(scope, call);
}

/** Of the handler that runs here; undefined where none does. */
export function currentScope(): RunScope | undefined {
  return scopes.getStore();
}

const outer = new Map<string, OuterEnv>();

/** Makes known what the modules of a Worker see outside of any run. */
export function setOuterEnv(worker: string, env: OuterEnv | undefined): void {
  if (env === undefined) outer.delete(worker);
  else outer.set(worker, env);
}

export function outerEnv(worker: string): OuterEnv {
  return outer.get(worker) ?? { vars: {}, bindings: [] };
}
