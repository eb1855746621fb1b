import type { OutgoingHttpHeaders, ServerResponse } from "node:http";
import { setImmediate as turn } from "node:timers/promises";
import { AppError } from "../errors.ts";
import { errorResponse } from "../routing/error-response.ts";

export interface SendOptions {
  /** How long a client may take nothing of what is ready for it. */
  readonly writeTimeoutMs: number;
  /** Ends the connection after this answer. */
  readonly isLast: boolean;
  /** Told when the connection ends because of it. */
  readonly onWriteTimeout?: () => void;
  /** Told when the function's stream fails while it is sent. */
  readonly onStreamError: (cause: unknown) => void;
}

/**
 * Writes a Response to a Node response; resolves when all is handed over, and never rejects.
 *
 * In place of the adapter's own writer, which prints a failed stream's message into the answer and waits a turn of the event
 * loop for each Response of the platform's own class. A body of one chunk goes out with its length. One that fails midway
 * destroys the socket, so that the client sees a cut answer, never a short one that looks whole.
 */
export async function sendResponse(response: Response, outgoing: ServerResponse, options: SendOptions): Promise<void> {
  if (outgoing.destroyed) {
    await response.body?.cancel().catch(() => {});
    return;
  }
  const headers = toNodeHeaders(response.headers, options.isLast);
  outgoing.setTimeout(options.writeTimeoutMs, () => {
    // Nothing to write: it is the function that is slow, not the client.
    if (outgoing.writableLength === 0 || outgoing.destroyed) return;
    options.onWriteTimeout?.();
    outgoing.destroy();
  });
  const reader = response.body?.getReader();
  if (reader === undefined) {
    const hasLength = response.status === 204 || response.status === 304 || outgoing.req.method === "HEAD";
    outgoing.writeHead(response.status, hasLength ? headers : { ...headers, "content-length": 0 }).end();
    return;
  }
  const leave = (): void => void reader.cancel().catch(() => {});
  outgoing.once("close", leave);
  try {
    const first = await reader.read();
    const second = reader.read();
    // A string or buffer has its end right behind it; a stream that takes its time is not waited for.
    const next = await Promise.race([second, turn(undefined)]);
    if (next?.done === true) {
      const length = first.value?.byteLength ?? 0;
      outgoing.writeHead(response.status, { ...headers, "content-length": length }).end(first.value);
      return;
    }
    outgoing.writeHead(response.status, headers);
    await write(outgoing, first.value);
    for (let chunk = await second; !chunk.done; chunk = await reader.read()) await write(outgoing, chunk.value);
    outgoing.end();
  } catch (cause) {
    options.onStreamError(cause);
    if (outgoing.headersSent || outgoing.destroyed) outgoing.destroy();
    else await sendResponse(errorResponse(new AppError("function_error", { cause })), outgoing, options);
  } finally {
    outgoing.off("close", leave);
  }
}

async function write(outgoing: ServerResponse, chunk: Uint8Array | undefined): Promise<void> {
  if (chunk === undefined || outgoing.destroyed || outgoing.write(chunk)) return;
  await new Promise<void>((resolve) => {
    const proceed = (): void => {
      outgoing.off("drain", proceed).off("close", proceed);
      resolve();
    };
    outgoing.on("drain", proceed).on("close", proceed);
  });
}

function toNodeHeaders(headers: Headers, isLast: boolean): OutgoingHttpHeaders {
  const { "transfer-encoding": _framingIsOurs, ...rest } = Object.fromEntries(headers);
  const cookies = headers.getSetCookie();
  return {
    ...rest,
    ...(cookies.length > 0 && { "set-cookie": cookies }),
    ...(isLast && { connection: "close" }),
  };
}
