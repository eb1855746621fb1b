import { AppError } from "../errors.ts";
import type { BodyLease } from "./body-budget.ts";

/** Throws where the headers alone say that the body will not be taken, before a byte of it is read. */
export function checkBodyHeaders(headers: Headers, bytesMax: number): void {
  const encoding = headers.get("content-encoding");
  if (encoding !== null && encoding.toLowerCase() !== "identity") throw new AppError("unsupported_content_encoding");
  if (Number(headers.get("content-length")) > bytesMax) throw tooLarge(bytesMax);
}

/** A body that says it is longer takes room as it comes: who promises much and sends nothing keeps nobody else out. */
const WHOLE_BYTES_MAX = 2 ** 16;

/**
 * The whole body, undefined where there is none. Throws `body_too_large` at the first byte past the limit, and `queue_full`
 * where `lease` has no room for it: before anything is read, if Content-Length tells.
 */
export async function readBoundedBody(
  request: Request,
  bytesMax: number,
  lease?: BodyLease,
): Promise<Uint8Array<ArrayBuffer> | undefined> {
  if (request.method === "GET" || request.method === "HEAD") return undefined;
  checkBodyHeaders(request.headers, bytesMax);
  const header = request.headers.get("content-length");
  const length = header === null ? Infinity : Number(header);
  const isWhole = length <= (lease === undefined ? bytesMax : WHOLE_BYTES_MAX);
  if (isWhole) lease?.grow(length);
  else if (header !== null) lease?.expect(length);
  try {
    // A server's parser takes no more than Content-Length, and this way it need not make a stream of it.
    const bytes = isWhole ? new Uint8Array(await request.arrayBuffer()) : await readCounted(request, bytesMax, lease);
    if (bytes.byteLength > bytesMax) throw tooLarge(bytesMax);
    return bytes;
  } catch (cause) {
    throw cause instanceof AppError ? cause : new AppError("client_gone", { cause });
  }
}

async function readCounted(
  request: Request,
  bytesMax: number,
  lease: BodyLease | undefined,
): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  // Leaving the loop by the error cancels the stream.
  for await (const chunk of request.body ?? []) {
    bytes += chunk.byteLength;
    if (bytes > bytesMax) throw tooLarge(bytesMax);
    lease?.grow(chunk.byteLength);
    chunks.push(chunk);
  }
  const whole = new Uint8Array(bytes);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.byteLength;
  }
  return whole;
}

function tooLarge(bytesMax: number): AppError {
  return new AppError("body_too_large", { message: `The body has more than ${bytesMax} bytes.` });
}
