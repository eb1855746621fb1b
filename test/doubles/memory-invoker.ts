import type { Handler } from "../../functions/_types.ts";
import { AppError } from "../../runtime/errors.ts";
import { bindAi } from "../../runtime/routing/ai-binding.ts";
import { createInvoker, type InvocationResult, type Invoker } from "../../runtime/routing/invocation.ts";
import { createMemoryEmbedder } from "./memory-embedder.ts";
import { createVirtualClock, type VirtualClock } from "./virtual-clock.ts";

export interface MemoryInvoker {
  readonly invoker: Invoker;
  readonly clock: VirtualClock;
  readonly client: AbortController;
  readonly failures: unknown[];
  run(fetch: Handler["fetch"], headers?: Record<string, string>): Promise<InvocationResult>;
}

/** Runs handlers for one client, whose deadline is 1 s and at most 5 s, on a clock that a test moves. */
export function createMemoryInvoker(
  options: { readonly waitForAbort?: boolean; readonly vars?: Record<string, unknown> } = {},
): MemoryInvoker {
  const clock = createVirtualClock();
  const client = new AbortController();
  const failures: unknown[] = [];
  const waitForAbort = createMemoryEmbedder({
    intercept: ({ signal }) =>
      new Promise((_, reject) => {
        signal.addEventListener("abort", () => reject(new AppError("client_gone")));
      }),
  });
  const embedder = options.waitForAbort === true ? waitForAbort : createMemoryEmbedder();
  const invoker = createInvoker({
    clock,
    createEnv: (scope) => Object.freeze({ ...options.vars, AI: bindAi(embedder, scope, { textsMax: 100 }) }),
    requestTimeoutMs: 1_000,
    requestTimeoutMsMax: 5_000,
    waitUntilMs: 30_000,
    onBackgroundFailure: (id, cause) => failures.push([id, cause]),
  });
  return {
    invoker,
    clock,
    client,
    failures,
    run(fetch, headers = {}) {
      const request = new Request("http://localhost/x?q=1", { method: "POST", headers, signal: client.signal });
      const body = new TextEncoder().encode("body");
      const arrivedAtMs = clock.nowMs();
      const { url } = request;
      return invoker.invoke({ id: "id-1", handler: { fetch }, params: { id: "7" }, request, url, body, arrivedAtMs });
    },
  };
}
