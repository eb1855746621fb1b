import { type Context, Hono } from "hono";
import type { Clock } from "../clock.ts";
import { AppError } from "../errors.ts";
import { errorResponse, refusalIn, toAppError } from "../routing/error-response.ts";
import type { FunctionRunner } from "../routing/function-runner.ts";
import type { EmbedTally } from "../routing/invocation.ts";
import type { Caller } from "../routing/caller.ts";
import { refuseMethod } from "../routing/methods.ts";
import { requestIdOf } from "../routing/request-id.ts";
import { checkHost } from "./host-check.ts";
import { type Mount, pathBelow } from "./mount.ts";
import { createOperations, METRICS_PATH, type OperationsSources } from "./operations.ts";
import { answerPreflight, checkOrigin, isPreflight } from "./origin-check.ts";
import { createRefusalPacer } from "./refusal-pacer.ts";

export interface AppOptions {
  readonly functions: FunctionRunner;
  readonly operations: OperationsSources;
  readonly clock: Clock;
  readonly doors: AppDoors;
  /** Told once of each request, when its answer begins. */
  readonly onRequest?: (record: RequestRecord) => void;
}

/** Who may come in. Read at each request, since it may change. */
export interface AppDoors {
  /** Host names besides those of the loopback and `host`; `*` allows all. */
  readonly allowedHosts: readonly string[];
  /** Further names of this host, on a port of its own. */
  readonly ownHosts?: () => readonly string[];
  /** Addresses in figures are this host's names too, on a port of its own. */
  readonly anyAddress?: boolean;
  /** Origins of web pages that may call; `*` allows all. */
  readonly allowedOrigins: readonly string[];
  /** Who sends these headers; throws where they may not come in. Without it, everybody may. */
  readonly identify?: (headers: Headers) => Caller;
  /** The same for who reads `/metrics`; false where they are behind another door. */
  readonly checkMetrics?: ((headers: Headers) => void) | false;
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
  /** `mount` is set where the request came through somebody else's server. */
  Bindings: { readonly mount?: Mount | undefined };
  Variables: { trace: Trace };
}

/** Statuses of refusals that clients repeat, some of them at once. */
const PACED: readonly number[] = [429, 503];

/** The whole host as one `fetch`: request id → host → origin → operations → functions. */
export function createApp(options: AppOptions): Hono<AppEnv> {
  const { clock, doors } = options;
  const operations = createOperations(options.operations);
  const pacer = createRefusalPacer(clock);
  const app = new Hono<AppEnv>();

  app.use(async (c, next) => {
    const trace = startTrace(c.req.raw, clock.nowMs());
    c.set("trace", trace);
    await next();
    setHeaders(c, new Headers({ "x-request-id": trace.id, ...modelHeaders(trace.embedded) }));
    const { id, arrivedAtMs, route, kind, error, embedded } = trace;
    const ms = clock.nowMs() - arrivedAtMs;
    options.onRequest?.({ id, method: c.req.method, route, kind, status: c.res.status, ms, error, embedded });
    if (PACED.includes(c.res.status)) await pacer.hold();
  });
  app.use(async (c, next) => {
    const isMounted = mountOf(c) !== undefined;
    // Which names lead to somebody else's server is that server's business, unless some are configured.
    if (!isMounted || doors.allowedHosts.length > 0) {
      const allowedHosts = [...doors.allowedHosts, ...(doors.ownHosts?.() ?? [])];
      checkHost(c.req.raw, { allowedHosts, anyAddress: !isMounted && doors.anyAddress === true });
    }
    const cors = checkOrigin(c.req.raw, { allowedOrigins: doors.allowedOrigins, isMounted });
    if (isPreflight(c.req.raw)) return answerPreflight(c.req.raw, cors);
    await next();
    setHeaders(c, cors);
    return undefined;
  });
  app.all("*", async (c) => {
    const url = new URL(c.req.url);
    const path = pathBelow(url.pathname, mountOf(c));
    if (path === undefined) throw new AppError("not_found");
    url.pathname = path;
    const operation = operations.get(path);
    if (operation === undefined) return runFunction(c, url, options);
    if (path === METRICS_PATH) checkMetrics(c.req.raw.headers, doors);
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

async function runFunction(c: Context<AppEnv>, url: URL, options: AppOptions): Promise<Response> {
  const trace = c.get("trace");
  const { id, arrivedAtMs } = trace;
  const request = c.req.raw;
  const caller = options.doors.identify?.(request.headers);
  const { response, route, error, embedded } = await options.functions.run({ id, request, url, arrivedAtMs, caller });
  const told = error ?? refusalIn(response);
  Object.assign(trace, { error: told, embedded, ...(route !== undefined && { route, kind: "function" }) });
  return response;
}

function checkMetrics(headers: Headers, { checkMetrics: check }: AppDoors): void {
  if (check === false)
    throw new AppError("not_found", { message: "The metrics have a door of their own: metrics.port." });
  check?.(headers);
}

/** `app.request` of Hono passes no bindings at all. */
function mountOf(c: Context<AppEnv>): Mount | undefined {
  return (c.env as AppEnv["Bindings"] | undefined)?.mount;
}

function startTrace(request: Request, arrivedAtMs: number): Trace {
  const id = requestIdOf(request.headers);
  return { id, arrivedAtMs, route: "unmatched", kind: "unmatched", error: undefined, embedded: undefined };
}

/** Which model at which revision gave the vectors of the answer, whatever its dialect. */
function modelHeaders(embedded: EmbedTally | undefined): Record<string, string> {
  if (embedded === undefined || embedded.models.length === 0) return {};
  // A folder may have any name, a header may not.
  const listed = (values: readonly string[]): string => values.map((value) => encodeURI(value)).join(", ");
  return {
    "x-embedge-model": listed(embedded.models.map(({ name }) => name)),
    "x-embedge-revision": listed(embedded.models.map(({ revision }) => revision)),
  };
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
