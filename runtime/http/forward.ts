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
  /** Names of headers that stay here. */
  readonly without?: readonly string[];
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

/** Up to so many bytes are passed on as one piece: a stream of the Web costs more than the rest of the way. */
const WHOLE_BYTES_MAX = 64 * 1024;

/**
 * Sends a request to another HTTP server of this machine and resolves with its answer; a long body is then still to come.
 * Nothing is decoded, followed or added. Rejects where no answer comes, or when a signal aborts.
 *
 * When the client goes away, the connection is reset: workerd takes a plain close for a client that still reads.
 */
export async function forward(request: Request, options: ForwardOptions): Promise<Response> {
  const { target, agent, url, headers, without = [] } = options;
  const body = await readBody(request);
  const signals = [request.signal, options.signal];
  for (const signal of signals) signal.throwIfAborted();
  return new Promise((resolve, reject) => {
    const outgoing = httpRequest({
      agent,
      host: target.hostname,
      port: target.port,
      method: request.method,
      path: `${url.pathname}${url.search}`,
      headers: { ...endToEnd(request.headers, without), host: url.host, ...headers },
    });
    const leave = (event: Event): void => {
      reject((event.target as AbortSignal).reason);
      reset(outgoing);
    };
    for (const signal of signals) signal.addEventListener("abort", leave, { once: true });
    outgoing.once("close", () => {
      for (const signal of signals) signal.removeEventListener("abort", leave);
    });
    outgoing.on("error", reject);
    outgoing.once("response", (incoming) => toResponse(incoming, outgoing).then(resolve, reject));
    // A body that ends badly has ended the request, and so told of it.
    if (body instanceof ReadableStream) pipeline(Readable.fromWeb(body), outgoing, () => {});
    else outgoing.end(body);
  });
}

/** Whether a body may come; of a server's request it can be told without making a stream of it. */
export function hasBody(request: Request): boolean {
  if (request.method === "GET" || request.method === "HEAD") return false;
  const isAnnounced = ["content-length", "transfer-encoding"].some((name) => request.headers.has(name));
  return isAnnounced || request.body !== null;
}

async function readBody(request: Request): Promise<Uint8Array | ReadableStream | undefined> {
  if (!hasBody(request)) return undefined;
  return isShort(request.headers.get("content-length"))
    ? new Uint8Array(await request.arrayBuffer())
    : (request.body ?? undefined);
}

function isShort(contentLength: string | null | undefined): boolean {
  return contentLength !== null && contentLength !== undefined && Number(contentLength) <= WHOLE_BYTES_MAX;
}

function reset(outgoing: ClientRequest): void {
  // First, since a socket that is closed cannot be reset.
  outgoing.socket?.resetAndDestroy();
  outgoing.destroy();
}

async function toResponse(incoming: IncomingMessage, outgoing: ClientRequest): Promise<Response> {
  const status = incoming.statusCode ?? 502;
  const headers = new Headers();
  for (const [name, values = []] of Object.entries(incoming.headersDistinct)) {
    if (!HOP_BY_HOP.includes(name)) for (const value of values) headers.append(name, value);
  }
  const isEmpty = outgoing.method === "HEAD" || status === 204 || status === 304;
  if (isEmpty) {
    incoming.resume();
    return new Response(null, { status, headers });
  }
  const isWhole = isShort(incoming.headers["content-length"]);
  return new Response(isWhole ? Buffer.concat(await incoming.toArray()) : toBody(incoming, outgoing), {
    status,
    headers,
  });
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

function endToEnd(headers: Headers, without: readonly string[]): Record<string, string> {
  const left = [...headers].filter(([name]) => !HOP_BY_HOP.includes(name) && !without.includes(name));
  return Object.fromEntries(left);
}
