import { randomUUID } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { getRequestListener, RequestError } from "@hono/node-server";
import { RESPONSE_ALREADY_SENT } from "@hono/node-server/utils/response";
import { AppError, type ErrorCode } from "../errors.ts";
import { errorResponse } from "../routing/error-response.ts";
import { offerReadBody } from "./read-body.ts";
import { sendResponse } from "./send-response.ts";

/** Answers one request of a Node server; never throws. */
export type NodeListener = (incoming: IncomingMessage, outgoing: ServerResponse) => void;

export interface NodeListenerOptions {
  /** How long a client may take nothing of what is ready for it. */
  readonly writeTimeoutMs: number;
  /** While true, each answer ends its connection. */
  readonly isLast?: (outgoing: ServerResponse) => boolean;
  /** Told of what never reached `fetch`, or failed behind it. */
  readonly onConnectionError?: ((error: AppError) => void) | undefined;
}

/** `fetch` as a listener of `node:http`. A body that the server has read already is taken as its parser left it. */
export function createNodeListener(
  fetch: (request: Request) => Response | Promise<Response>,
  options: NodeListenerOptions,
): NodeListener {
  const { writeTimeoutMs } = options;
  const report = (code: ErrorCode, cause: unknown): void => options.onConnectionError?.(new AppError(code, { cause }));
  const listener = getRequestListener(
    async (request, { outgoing }) => {
      await sendResponse(await fetch(request), outgoing as ServerResponse, {
        writeTimeoutMs,
        isLast: options.isLast?.(outgoing as ServerResponse) === true,
        onWriteTimeout: () => report("deadline_exceeded", undefined),
        onStreamError: (cause) => report("function_error", cause),
      });
      return RESPONSE_ALREADY_SENT;
    },
    {
      // The globals belong to whoever runs this process.
      overrideGlobalObjects: false,
      // For HTTP/1.0, whose clients need not name a host; no browser is among them.
      hostname: "localhost",
      errorHandler: (thrown) => withRequestId(errorResponse(toRequestFailure(thrown, report))),
    },
  );
  return (incoming, outgoing) => {
    // Somebody before us has answered.
    if (outgoing.headersSent) return;
    const problem = offerReadBody(incoming);
    if (problem === undefined) {
      void listener(incoming, outgoing);
      return;
    }
    report(problem.code, problem);
    const answer = withRequestId(errorResponse(problem));
    void sendResponse(answer, outgoing, { writeTimeoutMs, isLast: false, onStreamError: () => {} });
  };
}

/** The adapter refuses some requests before the app sees them: a Host that is none, a path with a backslash. */
function toRequestFailure(thrown: unknown, report: (code: ErrorCode, cause: unknown) => void): AppError {
  if (!(thrown instanceof RequestError)) {
    report("internal_error", thrown);
    return new AppError("internal_error", { cause: thrown });
  }
  return new AppError(thrown.message.includes("path") ? "not_found" : "invalid_host", { cause: thrown });
}

/** For an answer that the app has no part in. */
export function withRequestId(response: Response): Response {
  response.headers.set("x-request-id", randomUUID());
  return response;
}
