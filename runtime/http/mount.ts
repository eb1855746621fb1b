import { Hono } from "hono";
import { basePath } from "hono/route";
import { createNodeListener, type NodeListener, type NodeListenerOptions } from "./node-listener.ts";

/** The place of a host in somebody else's server. */
export interface Mount {
  /** What comes before our own paths and is not seen by functions: `/embed`. Empty where that server takes it off. */
  readonly prefix: string;
}

/** The host as seen from a place in somebody else's server. */
export interface MountedHost {
  /** For servers that speak Request and Response. */
  readonly fetch: (request: Request) => Promise<Response>;
  /** For Express, Fastify and `node:http`. */
  readonly nodeListener: NodeListener;
}

export type MountedFetch = (request: Request, mount: Mount) => Promise<Response>;

/** The doors of a host below `prefix`. */
export function mountAt(prefix: string, fetch: MountedFetch, options: NodeListenerOptions): MountedHost {
  const mount = { prefix: prefix.replace(/\/+$/, "") };
  const fetchHere = (request: Request): Promise<Response> => fetch(request, mount);
  return { fetch: fetchHere, nodeListener: createNodeListener(fetchHere, options) };
}

/** The host as an app for `app.route(prefix, …)` of Hono, which leaves the prefix in the path but tells what it is. */
export function createMountedRoutes(fetch: MountedFetch): Hono {
  return new Hono().all("*", (c) => fetch(c.req.raw, { prefix: basePath(c).replace(/\/$/, "") }));
}

/** The path without the prefix; undefined where it lies outside. */
export function pathBelow(pathname: string, mount: Mount | undefined): string | undefined {
  const prefix = mount?.prefix ?? "";
  if (prefix === "") return pathname;
  if (pathname === prefix) return "/";
  return pathname.startsWith(`${prefix}/`) ? pathname.slice(prefix.length) : undefined;
}
