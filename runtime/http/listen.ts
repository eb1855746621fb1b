import { once } from "node:events";
import { createServer, type Server, type ServerResponse, STATUS_CODES } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { Clock } from "../clock.ts";
import { AppError, type ErrorCode } from "../errors.ts";
import { errorEnvelope, errorResponse } from "../routing/error-response.ts";
import { allowHalfOpen } from "./half-open.ts";
import { limitPipelining } from "./pipelining.ts";
import { createNodeListener, withRequestId } from "./node-listener.ts";
import { retireServer } from "./retire.ts";

export interface ListenOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** A socket that is bound already and was inherited under this number: used in place of host and port. */
  readonly fd?: number | undefined;
  readonly clock: Clock;
  /** Time for the request headers. */
  readonly headersTimeoutMs: number;
  /** Time for the whole request, body included. */
  readonly bodyTimeoutMs: number;
  /** Whether a body of this length, which its client asks about before it sends it, would be read now. */
  readonly takesBody: (bytes: number) => boolean;
  /** How long a client may take nothing of what is ready for it. */
  readonly writeTimeoutMs: number;
  /** How long a connection may idle; longer than usual clients keep theirs, so that they close first. Default 65 s. */
  readonly keepAliveMs?: number;
  /** Connections at one time; those beyond are closed at once. */
  readonly connectionsMax?: number;
  /** Told of each of those. */
  readonly onConnectionDropped?: () => void;
  /** While true, each answer ends its connection. */
  readonly isDraining?: () => boolean;
  /** Told of what never reached the app, or failed behind it. */
  readonly onConnectionError?: (error: AppError) => void;
}

export interface Listener {
  readonly host: string;
  /** The port that was taken. */
  readonly port: number;
  /** Takes no more connections, and ends each with its next answer or when it has idled for `keepAliveMs`; resolves when none is left, or only running requests. */
  retire(): Promise<void>;
  /** Takes no more connections, closes idle ones, lets running requests finish for `graceMs`, then ends those too; again, the same promise. */
  close(graceMs: number): Promise<void>;
}

/** The address cannot be listened on. */
export class ListenError extends Error {
  readonly reason: "port_in_use" | "not_permitted" | "no_such_address" | "other";
  readonly port: number;

  constructor(cause: NodeJS.ErrnoException, host: string, port: number) {
    const reason = listenReasons[cause.code ?? ""] ?? "other";
    super(listenMessages[reason](host, port, cause.message), { cause });
    this.name = "ListenError";
    this.reason = reason;
    this.port = port;
  }
}

const listenReasons: Readonly<Record<string, ListenError["reason"]>> = {
  EADDRINUSE: "port_in_use",
  EACCES: "not_permitted",
  EADDRNOTAVAIL: "no_such_address",
  ENOTFOUND: "no_such_address",
};

const listenMessages: Record<ListenError["reason"], (host: string, port: number, message: string) => string> = {
  port_in_use: (host, port) => `Port ${port} of ${host} is in use by another program.`,
  not_permitted: (_, port) => `This user may not listen on port ${port}; ports from 1024 need no rights.`,
  no_such_address: (host) => `${host} is no address of this machine.`,
  other: (host, port, message) => `Cannot listen on port ${port} of ${host}: ${message}`,
};

/** Header lines of one request. Node itself drops those past 2,000 without a word. */
const HEADERS_MAX = 200;

/** Serves `fetch` over HTTP/1.1; resolves when the port is open, throws ListenError where it cannot be. */
export async function listen(
  fetch: (request: Request) => Response | Promise<Response>,
  options: ListenOptions,
): Promise<Listener> {
  const { clock, keepAliveMs = 65_000 } = options;
  const server = createServer({
    headersTimeout: options.headersTimeoutMs,
    requestTimeout: Math.max(options.bodyTimeoutMs, options.headersTimeoutMs),
    keepAliveTimeout: keepAliveMs,
    connectionsCheckingInterval: 1_000,
    // Node's own refusal says nothing to the client.
    requireHostHeader: false,
  });
  if (options.connectionsMax !== undefined) server.maxConnections = options.connectionsMax;
  server.on("drop", () => options.onConnectionDropped?.());
  const open = trackResponses(server);
  allowHalfOpen(server, open, options.clock);
  const closed = new Promise<void>((resolve) => server.once("close", resolve));
  let retiring: Promise<void> | undefined;
  let closing: Promise<void> | undefined;
  const isLast = (outgoing: ServerResponse): boolean => {
    if (closing !== undefined || options.isDraining?.() === true) return true;
    // Not where more requests have been read from the connection: they are answered first.
    return retiring !== undefined && open.get(outgoing.req.socket) === outgoing;
  };
  const report = (code: ErrorCode, cause: unknown): void => options.onConnectionError?.(new AppError(code, { cause }));

  const listener = createNodeListener(fetch, {
    writeTimeoutMs: options.writeTimeoutMs,
    isLast,
    onConnectionError: options.onConnectionError,
  });
  server.on(
    "request",
    limitPipelining((incoming, outgoing) => {
      if (incoming.rawHeaders.length > 2 * HEADERS_MAX) refuse(outgoing, "headers_too_large");
      else if (incoming.headers.host === undefined && incoming.httpVersion === "1.1") refuse(outgoing, "invalid_host");
      else listener(incoming, outgoing);
    }),
  );
  server.on("checkContinue", (incoming, outgoing) => {
    // The answer is 413 or 429, and the client need not send it.
    if (options.takesBody(Number(incoming.headers["content-length"] ?? 0))) outgoing.writeContinue();
    server.emit("request", incoming, outgoing);
  });
  server.on("checkExpectation", (_, outgoing) => refuse(outgoing, "expectation_failed"));
  server.on("clientError", (error: NodeJS.ErrnoException, socket) => {
    const code = clientErrorCodes[error.code ?? ""] ?? "invalid_request";
    if (error.code !== "ECONNRESET") report(code, error);
    if (socket.writable && open.get(socket as Socket)?.headersSent !== true) socket.end(rawAnswer(code));
    else socket.destroy();
  });

  await openPort(server, options);
  const { port } = server.address() as AddressInfo;
  return {
    host: options.host,
    port,
    retire: () => (retiring ??= retireServer(server, { clock, keepAliveMs })),
    close: (graceMs) => (closing ??= closeServer({ server, open, closed, clock }, graceMs)),
  };
}

interface Closing {
  readonly server: Server;
  readonly open: OpenConnections;
  /** Resolves with the last connection. */
  readonly closed: Promise<void>;
  readonly clock: Clock;
}

async function closeServer({ server, open, closed, clock }: Closing, graceMs: number): Promise<void> {
  server.close();
  // Node counts a connection that never sent a request as busy.
  for (const [socket, outgoing] of open) {
    if (outgoing === undefined) socket.destroy();
    // Its answer may have promised to keep the connection.
    else outgoing.once("close", () => socket.destroySoon());
  }
  const timer = clock.setTimer(clock.nowMs() + graceMs, () => server.closeAllConnections());
  await closed;
  timer.clear();
}

async function openPort(server: Server, { host, port, fd }: ListenOptions): Promise<void> {
  try {
    server.listen(fd === undefined ? { host, port } : { fd });
    await once(server, "listening");
  } catch (cause) {
    throw new ListenError(cause as NodeJS.ErrnoException, host, port);
  }
}

/** Every open connection, with the response that it waits for. */
type OpenConnections = ReadonlyMap<Socket, ServerResponse | undefined>;

function trackResponses(server: Server): OpenConnections {
  const open = new Map<Socket, ServerResponse | undefined>();
  server.on("connection", (socket) => {
    open.set(socket, undefined);
    socket.once("close", () => open.delete(socket));
  });
  server.prependListener("request", ({ socket }, outgoing) => {
    open.set(socket, outgoing);
    outgoing.once("close", () => {
      if (open.get(socket) === outgoing) open.set(socket, undefined);
    });
  });
  return open;
}

const clientErrorCodes: Readonly<Record<string, ErrorCode>> = {
  HPE_HEADER_OVERFLOW: "headers_too_large",
  HPE_CHUNK_EXTENSIONS_OVERFLOW: "body_too_large",
  ERR_HTTP_REQUEST_TIMEOUT: "body_timeout",
};

/** Answers before the app is asked, and ends the connection. */
function refuse(outgoing: ServerResponse, code: ErrorCode): void {
  const { status, headers, body } = refusal(code);
  outgoing.writeHead(status, headers).end(body);
}

/** The same, for a connection on which nothing could be parsed. */
function rawAnswer(code: ErrorCode): string {
  const { status, headers, body } = refusal(code);
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}\r\n${lines.join("")}\r\n${body}`;
}

function refusal(code: ErrorCode): { status: number; headers: Record<string, string>; body: string } {
  const error = new AppError(code);
  const body = JSON.stringify(errorEnvelope(error));
  const { status, headers } = withRequestId(errorResponse(error));
  const length = String(Buffer.byteLength(body));
  return { status, headers: { ...Object.fromEntries(headers), "content-length": length, connection: "close" }, body };
}
