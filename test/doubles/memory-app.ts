import type { AnswerFailure, Handler } from "../../functions/_types.ts";
import { systemClock } from "../../runtime/clock.ts";
import type { Embedder } from "../../runtime/embedder/embedder.ts";
import { type AppDoors, type AppOptions, createApp } from "../../runtime/http/app.ts";
import { bindAi } from "../../runtime/routing/ai-binding.ts";
import type { BodyBudget } from "../../runtime/routing/body-budget.ts";
import { createFunctionRunner } from "../../runtime/routing/function-runner.ts";
import { createInvoker, type InvokerOptions } from "../../runtime/routing/invocation.ts";
import { createRouteTable, type Route } from "../../runtime/routing/route-table.ts";
import { createMemoryEmbedder } from "./memory-embedder.ts";

export interface MemoryAppOptions {
  readonly routes?: readonly Route[];
  readonly embedder?: Embedder;
  /** What functions find in `env` beside `AI`. */
  readonly vars?: Readonly<Record<string, unknown>>;
  readonly app?: Partial<Omit<AppOptions, "doors"> & AppDoors> & { readonly bodyBytesMax?: number };
  readonly bodies?: BodyBudget;
  /** Of one `env.AI.run`. */
  readonly textsMax?: number;
  readonly invoker?: Partial<InvokerOptions>;
}

/** The whole way from a Request to a Response, over an embedder in memory. */
export function createMemoryApp(options: MemoryAppOptions = {}): ReturnType<typeof createApp> {
  const clock = options.app?.clock ?? options.invoker?.clock ?? systemClock;
  const embedder = options.embedder ?? createMemoryEmbedder();
  const invoker = createInvoker({
    clock,
    createEnv: (scope) => ({ ...options.vars, AI: bindAi(embedder, scope, { textsMax: options.textsMax ?? 100 }) }),
    requestTimeoutMs: 30_000,
    requestTimeoutMsMax: 600_000,
    waitUntilMs: 30_000,
    ...options.invoker,
  });
  return createApp({
    functions: createFunctionRunner({
      routes: createRouteTable(options.routes ?? []),
      invoker,
      bodyBytesMax: options.app?.bodyBytesMax ?? 1_000_000,
      bodies: options.bodies,
    }),
    operations: {
      readiness: () => ({ ready: true, workersReady: 2, workersWanted: 2 }),
      metrics: async () => ({ contentType: "text/plain; version=0.0.4", text: "up 1\n" }),
      openApi: () => ({}),
    },
    clock,
    doors: { allowedHosts: [], allowedOrigins: [], ...options.app },
    ...options.app,
  });
}

/** A route whose handler is `fetch`. */
export function routeTo(pattern: string, fetch: Handler["fetch"], methods?: readonly string[]): Route {
  return { pattern, file: `${pattern}.ts`, methods, limits: {}, handler: { fetch } };
}

/** The route of a file of functions/. */
export function routeOf(
  pattern: string,
  module: { readonly default: Handler; readonly methods?: readonly string[]; readonly answerFailure?: AnswerFailure },
): Route {
  const { default: handler, methods, answerFailure } = module;
  return { pattern, file: `${pattern}.ts`, methods, limits: {}, handler, answerFailure };
}

export function postJson(body: unknown, headers: Record<string, string> = {}): RequestInit {
  return { method: "POST", headers: { "content-type": "application/json", ...headers }, body: JSON.stringify(body) };
}

/** The body of an error answer, and its status. */
export async function errorOf(response: Response): Promise<{ status: number; code: string; param: string | null }> {
  const { error } = (await response.json()) as { error: { code: string; param: string | null } };
  return { status: response.status, code: error.code, param: error.param };
}
