import { AppError } from "../errors.ts";

export interface OriginPolicy {
  /** Whole origins (`https://app.example`); `*` allows all. */
  readonly allowedOrigins: readonly string[];
  /** The request came through somebody else's server, which may stand behind a proxy that ends TLS. */
  readonly isMounted: boolean;
}

/**
 * What CORS asks for in the answer to this request; throws unless its origin may call.
 *
 * A request without Origin is no web page's, and one from our own origin needs no header. `null` is the origin of sandboxed
 * pages and files: anyone's.
 */
export function checkOrigin(request: Request, { allowedOrigins, isMounted }: OriginPolicy): Headers {
  const headers = new Headers();
  const origin = request.headers.get("origin");
  if (origin === null || isOwn(origin, request, isMounted)) return headers;
  const isListed = origin !== "null" && (allowedOrigins.includes("*") || allowedOrigins.includes(origin));
  if (!isListed) throw new AppError("origin_not_allowed");
  headers.set("access-control-allow-origin", origin);
  const exposed = "x-request-id, retry-after, retry-after-ms, x-should-retry, x-embedge-model, x-embedge-revision";
  headers.set("access-control-expose-headers", exposed);
  headers.set("vary", "origin");
  return headers;
}

/** Behind a proxy that ends TLS the page says https where we see http, so there only name and port count. */
function isOwn(origin: string, request: Request, isMounted: boolean): boolean {
  const own = new URL(request.url);
  if (!isMounted) return origin === own.origin;
  const { host } = URL.canParse(origin) ? new URL(origin) : { host: "" };
  return host !== "" && (host === own.host || host === request.headers.get("host")?.toLowerCase());
}

/** Whether a browser asks if it may send the true request. */
export function isPreflight(request: Request): boolean {
  return (
    request.method === "OPTIONS" &&
    request.headers.has("origin") &&
    request.headers.has("access-control-request-method")
  );
}

/** The answer to a preflight from an origin that `checkOrigin` let pass. */
export function answerPreflight(request: Request, cors: Headers): Response {
  const headers = new Headers(cors);
  const method = request.headers.get("access-control-request-method") ?? "";
  const names = request.headers.get("access-control-request-headers");
  headers.set("access-control-allow-methods", method);
  if (names !== null) headers.set("access-control-allow-headers", names);
  if (request.headers.get("access-control-request-private-network") === "true") {
    headers.set("access-control-allow-private-network", "true");
  }
  headers.set("access-control-max-age", "600");
  return new Response(null, { status: 204, headers });
}
