import { type Agent, type ClientRequest, type IncomingMessage, request as httpRequest } from "node:http";
import { pipeline, Readable } from "node:stream";

export interface ForwardOptions {
  /** `http://127.0.0.1:PORT`. */
  readonly target: URL;
  readonly agent: Agent;
  /** What the server there sees as the request's URL. */
  readonly url: URL;
  /** Set above the request's own. */
  readonly headers: Readonly<Record<string, string>>;
  /** Aborts it beside the request's own. */
  readonly signal: AbortSignal;
}

/** These belong to one connection, not to the request (RFC 9110, section 7.6.1). */
const HOP_BY_HOP: readonly string[] = [
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
];

/**
 * Sends a request to another HTTP server of this machine and resolves with its answer, body unread. Nothing is decoded,
 * followed or added. Rejects where no answer comes, or when a signal aborts.
 *
 * When the client goes away, the connection is reset: workerd takes a plain close for a client that still reads.
 */
export function forward(request: Request, options: ForwardOptions): Promise<Response> {
  const { target, agent, url, headers } = options;
  const signal = AbortSignal.any([request.signal, options.signal]);
  return new Promise((resolve, reject) => {
    const outgoing = httpRequest({
      agent,
      host: target.hostname,
      port: target.port,
      method: request.method,
      path: `${url.pathname}${url.search}`,
      headers: { ...endToEnd(request.headers), host: url.host, ...headers },
    });
    const leave = (): void => {
      reject(signal.reason);
      reset(outgoing);
    };
    signal.addEventListener("abort", leave, { once: true });
    outgoing.once("close", () => signal.removeEventListener("abort", leave));
    outgoing.on("error", reject);
    outgoing.once("response", (incoming) => resolve(toResponse(incoming, outgoing)));
    if (signal.aborted) leave();
    if (request.body === null) outgoing.end();
    // A body that ends badly has ended the request, and so told of it.
    else pipeline(Readable.fromWeb(request.body), outgoing, () => {});
  });
}

function reset(outgoing: ClientRequest): void {
  // First, since a socket that is closed cannot be reset.
  outgoing.socket?.resetAndDestroy();
  outgoing.destroy();
}

function toResponse(incoming: IncomingMessage, outgoing: ClientRequest): Response {
  const status = incoming.statusCode ?? 502;
  const headers = new Headers();
  for (const [name, values = []] of Object.entries(incoming.headersDistinct)) {
    if (!HOP_BY_HOP.includes(name)) for (const value of values) headers.append(name, value);
  }
  const isEmpty = outgoing.method === "HEAD" || status === 204 || status === 304;
  if (isEmpty) incoming.resume();
  return new Response(isEmpty ? null : toBody(incoming, outgoing), { status, headers });
}

/** One that resets the connection when it is cancelled. */
function toBody(incoming: IncomingMessage, outgoing: ClientRequest): ReadableStream<Uint8Array> {
  const chunks = incoming[Symbol.asyncIterator]();
  return new ReadableStream(
    {
      async pull(controller) {
        const { done, value } = await chunks.next();
        if (done === true) controller.close();
        else controller.enqueue(value as Uint8Array);
      },
      cancel() {
        reset(outgoing);
      },
    },
    { highWaterMark: 0 },
  );
}

function endToEnd(headers: Headers): Record<string, string> {
  return Object.fromEntries([...headers].filter(([name]) => !HOP_BY_HOP.includes(name)));
}
