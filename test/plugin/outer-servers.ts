import { once } from "node:events";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { serve } from "@hono/node-server";
import express from "express";
import { fastify, type FastifyInstance } from "fastify";
import { Hono } from "hono";
import type { Host } from "../../runtime/embedge.ts";

/** Somebody else's server: it answers `/own` itself, and the host answers below `/embed`. */
export interface OuterServer extends AsyncDisposable {
  readonly url: string;
  /** What came to its own error handler. */
  readonly failures: readonly unknown[];
}

export type OpenOuterServer = (host: Host) => Promise<OuterServer>;

export const outerServers: Readonly<Record<string, OpenOuterServer>> = {
  "Hono, route": (host) => {
    const app = new Hono().get("/own", (c) => c.text("own")).route("/embed", host.routes);
    return openHono(app);
  },
  "Hono, mount": (host) => {
    const app = new Hono().get("/own", (c) => c.text("own")).mount("/embed", host.fetch);
    return openHono(app);
  },
  "Express 5": (host) => openExpress((app) => app.use("/embed", host.nodeListener)),
  "Express 5, after express.json()": (host) =>
    openExpress((app) => app.use(express.json()).use("/embed", host.nodeListener)),
  "Fastify 5, without its body parsers": (host) => {
    const embed = host.at("/embed");
    return openFastify((app) =>
      app.register(async (scope) => {
        scope.removeAllContentTypeParsers();
        scope.addContentTypeParser("*", (_request, _payload, done) => done(null));
        scope.all("/embed/*", (request, reply) => {
          reply.hijack();
          embed.nodeListener(request.raw, reply.raw);
        });
      }),
    );
  },
  "Fastify 5, with the body that it has parsed": (host) => {
    const embed = host.at("/embed");
    return openFastify((app) =>
      app.all("/embed/*", (request, reply) => {
        reply.hijack();
        embed.nodeListener(Object.assign(request.raw, { body: request.body }), reply.raw);
      }),
    );
  },
  "node:http": (host) => {
    const embed = host.at("/embed");
    return openNode((incoming, outgoing) => {
      if (incoming.url === "/own") outgoing.end("own");
      else embed.nodeListener(incoming, outgoing);
    });
  },
  "a framework of (request) => Response": (host) => {
    const embed = host.at("/embed");
    const handle = (request: Request): Response | Promise<Response> =>
      new URL(request.url).pathname === "/own" ? new Response("own") : embed.fetch(request);
    return openHono({ fetch: handle });
  },
};

export async function openNode(listener: RequestListener, failures: readonly unknown[] = []): Promise<OuterServer> {
  const server = createServer(listener).listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    failures,
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
}

export function openExpress(mount: (app: express.Express) => unknown): Promise<OuterServer> {
  const failures: unknown[] = [];
  const app = express();
  app.get("/own", (_, response) => void response.send("own"));
  mount(app);
  const onError: express.ErrorRequestHandler = (error, _request, response, _next) => {
    failures.push(error);
    response.status(599).end();
  };
  app.use(onError);
  return openNode(app, failures);
}

async function openFastify(mount: (app: FastifyInstance) => unknown): Promise<OuterServer> {
  const failures: unknown[] = [];
  const app = fastify();
  app.setErrorHandler((error, _, reply) => {
    failures.push(error);
    return reply.code(599).send();
  });
  app.get("/own", () => "own");
  mount(app);
  const url = await app.listen({ port: 0, host: "127.0.0.1" });
  return {
    url,
    failures,
    async [Symbol.asyncDispose]() {
      app.server.closeAllConnections();
      await app.close();
    },
  };
}

function openHono(app: { readonly fetch: (request: Request) => Response | Promise<Response> }): Promise<OuterServer> {
  return new Promise((resolve) => {
    const server = serve({ fetch: app.fetch, port: 0, hostname: "127.0.0.1", overrideGlobalObjects: false }, (info) => {
      resolve({
        url: `http://127.0.0.1:${info.port}`,
        failures: [],
        async [Symbol.asyncDispose]() {
          const closed = once(server, "close");
          server.close();
          if ("closeAllConnections" in server) server.closeAllConnections();
          await closed;
        },
      });
    });
  });
}
