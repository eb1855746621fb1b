import { AppError } from "../errors.ts";

/**
 * What CORS asks for in the answer to this request; throws unless its origin may call.
 *
 * A request without Origin is no web page's, and one from our own origin needs no header. `null` is the origin of sandboxed
 * pages and files: anyone's. `allowedOrigins`: whole origins (`https://app.example`); `*` allows all.
 */
export function checkOrigin(request: Request, allowedOrigins: readonly string[]): Headers {
  const headers = new Headers();
  const origin = request.headers.get("origin");
  if (origin === null || origin === new URL(request.url).origin) return headers;
  const isListed = origin !== "null" && (allowedOrigins.includes("*") || allowedOrigins.includes(origin));
  if (!isListed) throw new AppError("origin_not_allowed");
  headers.set("access-control-allow-origin", origin);
  headers.set("access-control-expose-headers", "x-request-id, retry-after, retry-after-ms, x-should-retry");
  headers.set("vary", "origin");
  return headers;
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
