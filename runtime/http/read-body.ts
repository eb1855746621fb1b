import type { IncomingMessage } from "node:http";
import { AppError } from "../errors.ts";

/** What a body parser in front of us may have left: Express and its kind `body`, cloud functions the bytes in `rawBody`. */
interface ReadIncoming extends IncomingMessage {
  readonly body?: unknown;
  rawBody?: Buffer;
}

/**
 * Where a parser has read the body before us, puts its bytes where the adapter looks for them (`rawBody`).
 *
 * A failure to answer with where none can be had: the parser has left nothing, or something that is no longer what was sent.
 */
export function offerReadBody(incoming: ReadIncoming): AppError | undefined {
  if (!incoming.readableDidRead || incoming.rawBody instanceof Buffer || hasNoBody(incoming)) return undefined;
  const bytes = toBytes(incoming.body, incoming.headers["content-type"] ?? "");
  if (bytes === undefined) return new AppError("body_already_read");
  incoming.rawBody = bytes;
  return undefined;
}

function hasNoBody({ method, headers }: IncomingMessage): boolean {
  const isEmpty = headers["transfer-encoding"] === undefined && Number(headers["content-length"] ?? 0) === 0;
  return isEmpty || method === "GET" || method === "HEAD";
}

function toBytes(body: unknown, contentType: string): Buffer | undefined {
  if (body instanceof Uint8Array) return Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  if (typeof body === "string") return Buffer.from(body);
  const isJson = /^application\/(?:[\w.-]+\+)?json\b/i.test(contentType);
  const text = isJson && body !== undefined ? JSON.stringify(body) : undefined;
  return text === undefined ? undefined : Buffer.from(text);
}
