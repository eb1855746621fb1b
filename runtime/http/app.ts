import { type Context, Hono } from "hono";
import type { Clock } from "../clock.ts";
import { AppError } from "../errors.ts";
import { errorResponse, toAppError } from "../routing/error-response.ts";
import type { EmbedTally, Invoker } from "../routing/invocation.ts";
import type { RouteTable } from "../routing/route-table.ts";
import { readBoundedBody } from "./body-limit.ts";
import { checkHost } from "./host-check.ts";
import { ANY_METHOD, refuseMethod } from "./methods.ts";
import { createOperations, type OperationsSources } from "./operations.ts";
import { answerPreflight, checkOrigin, isPreflight } from "./origin-check.ts";

export interface AppOptions {
  readonly routes: RouteTable;
  readonly invoker: Pick<Invoker, "invoke">;
  readonly operations: OperationsSources;
  readonly clock: Clock;
  /** Host names besides those of the loopback; `*` allows all. */
  readonly allowedHosts: readonly string[];
  /** Origins of web pages that may call; `*` allows all. */
  readonly allowedOrigins: readonly string[];
  readonly bodyBytesMax: number;
  /** Told once of each request, when its answer begins. */
  readonly onRequest?: (record: RequestRecord) => void;
}

/** What log and metrics keep of a request: never a text, a vector or a header's value. */
export interface RequestRecord {
  readonly id: string;
  readonly method: string;
  /** A route's pattern, the path of an operation, or "unmatched": a closed set. */
  readonly route: string;
  readonly kind: "function" | "operation" | "unmatched";
  readonly status: number;
  /** From arrival to the beginning of the answer. */
  readonly ms: number;
  /** The failure that was answered; its `cause` is for the log alone. */
  readonly error: AppError | undefined;
  readonly embedded: EmbedTally | undefined;
}

/** One request on its way through the app; filled in as it goes. */
interface Trace {
  readonly id: string;
  readonly arrivedAtMs: number;
  route: string;
  kind: RequestRecord["kind"];
  error: AppError | undefined;
  embedded: EmbedTally | undefined;
}

export interface AppEnv {
  Variables: { trace: Trace };
}

/** The whole host as one `fetch`: request id → host → origin → operations → functions. */
export function createApp(options: AppOptions): Hono<AppEnv> {
  const { clock } = options;
  const operations = createOperations(options.operations);
  const app = new Hono<AppEnv>();

  app.use(async (c, next) => {
    const trace = startTrace(c.req.raw, clock.nowMs());
    c.set("trace", trace);
    await next();
    setHeaders(c, new Headers({ "x-request-id": trace.id }));
    const { id, arrivedAtMs, route, kind, error, embedded } = trace;
    const ms = clock.nowMs() - arrivedAtMs;
    options.onRequest?.({ id, method: c.req.method, route, kind, status: c.res.status, ms, error, embedded });
  });
  app.use(async (c, next) => {
    checkHost(c.req.raw, options.allowedHosts);
    const cors = checkOrigin(c.req.raw, options.allowedOrigins);
    if (isPreflight(c.req.raw)) return answerPreflight(c.req.raw, cors);
    await next();
    setHeaders(c, cors);
    return undefined;
  });
  app.all("*", async (c) => {
    const path = new URL(c.req.url).pathname;
    const operation = operations.get(path);
    if (operation === undefined) return runFunction(c, path, options);
    Object.assign(c.get("trace"), { route: path, kind: "operation" });
    return refuseMethod(c.req.method, ["GET"]) ?? operation();
  });
  app.onError((thrown, c) => {
    const error = toAppError(thrown, "internal_error");
    c.get("trace").error = error;
    return errorResponse(error);
  });
  return app;
}

async function runFunction(c: Context<AppEnv>, path: string, options: AppOptions): Promise<Response> {
  const request = c.req.raw;
  const trace = c.get("trace");
  const match = options.routes.match(path);
  if (match === undefined) throw new AppError("not_found");
  const { pattern, methods, handler } = match.route;
  trace.route = pattern;
  trace.kind = "function";
  // A function without a list answers OPTIONS itself.
  const refusal = refuseMethod(request.method, methods ?? [...ANY_METHOD, "OPTIONS"]);
  if (refusal !== undefined) return refusal;
  if (handler instanceof AppError) throw handler;
  const body = await readBoundedBody(request, options.bodyBytesMax);
  const { id, arrivedAtMs } = trace;
  const result = await options.invoker.invoke({ id, handler, params: match.params, request, body, arrivedAtMs });
  trace.error = result.error;
  trace.embedded = result.embedded;
  return result.response;
}

/** A client's own id is kept only if it can do no harm in a log or a header. */
const REQUEST_ID = /^[\w-]{1,64}$/;

function startTrace(request: Request, arrivedAtMs: number): Trace {
  const asked = request.headers.get("x-request-id");
  const id = asked !== null && REQUEST_ID.test(asked) ? asked : crypto.randomUUID();
  return { id, arrivedAtMs, route: "unmatched", kind: "unmatched", error: undefined, embedded: undefined };
}

function setHeaders(c: Context<AppEnv>, headers: Headers): void {
  try {
    for (const [name, value] of headers) c.res.headers.set(name, value);
  } catch {
    // The headers of a redirect or of a fetched Response cannot be changed, those of a copy can.
    const copy = new Response(c.res.body, { status: c.res.status, headers: new Headers(c.res.headers) });
    for (const [name, value] of headers) copy.headers.set(name, value);
    c.res = undefined;
    c.res = copy;
  }
}
