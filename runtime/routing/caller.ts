import type { EmbedCall } from "../embedder/embedder.ts";

/** Who asks, as far as the queue has to know. A function is told nothing of it. */
export interface Caller extends Pick<EmbedCall, "tenant" | "priority"> {
  /** Texts that may wait or run at one time for whoever asks; undefined: as many as the queue takes. */
  readonly allowance?: InputAllowance | undefined;
  /** Names of the headers that were meant for the host alone, which functions do not see. */
  readonly ownHeaders?: readonly string[];
}

/** A share of the queue that several requests have together. */
export interface InputAllowance {
  /** Takes room for so many texts; what it returns gives it back, once. Throws `tenant_queue_full`. */
  take(inputs: number): () => void;
}

/** What a function says of those who call it. */
export interface CallerRules {
  /** Each function is a tenant of its own for those who are nobody's. */
  readonly functionsAreTenants: boolean;
  /** Patterns of the routes whose calls are bulk, whatever the request says. */
  readonly bulkRoutes: readonly string[];
}

/** The caller of one route. `worker` keeps the routes of several projects apart. */
export function callerOfRoute(
  caller: Caller,
  { worker, route }: { readonly worker: string; readonly route: string },
  { functionsAreTenants, bulkRoutes }: CallerRules,
): Caller {
  const tenant = caller.tenant ?? (functionsAreTenants ? `${worker}${route}` : undefined);
  return { ...caller, tenant, priority: bulkRoutes.includes(route) ? "bulk" : caller.priority };
}
