import type { AnswerFailure, Failure } from "../../functions/_types.ts";
import { AppError, type ErrorCode, errorCatalogue } from "../errors.ts";
import { readUpstreamError } from "./upstream-error.ts";

/** Clients ignore a longer wait, or give up at once (OpenAI's and LangChain's). */
const RETRY_AFTER_MAX_MS = 60_000;
const RETRY_AFTER_DEFAULT_MS = 1_000;

/**
 * The failure behind whatever was thrown; `fallback` where it is none of ours.
 *
 * An error of `env.AI.run` has ours as its cause, or tells of it in its text, as the genuine class knows no cause. A function
 * may have set `param` on it, to name the field in its own words.
 */
export function toAppError(thrown: unknown, fallback: ErrorCode): AppError {
  try {
    if (thrown instanceof AppError) return thrown;
    const ours = thrown instanceof Error && thrown.cause instanceof AppError ? thrown.cause : readUpstreamError(thrown);
    if (ours !== undefined && thrown instanceof Error) {
      const { code, message, param, retryAfterMs } = ours;
      const named = "param" in thrown && typeof thrown.param === "string" ? thrown.param : param;
      return new AppError(code, {
        message,
        cause: thrown,
        ...(named !== undefined && { param: named }),
        ...(retryAfterMs !== undefined && { retryAfterMs }),
      });
    }
  } catch {
    // A getter or a proxy of the thrown value threw in its turn: it is none of ours.
  }
  return new AppError(fallback, { cause: thrown });
}

/** After these the rest of the request is unread, or cannot be told from the next one. */
const CLOSING: readonly ErrorCode[] = [
  "body_too_large",
  "body_timeout",
  "headers_too_large",
  "invalid_host",
  "draining",
];

/** What a dialect is told of a failure: the catalogue's status, and what clients read of when to repeat. */
export function failureOf({ code, message, param, retryAfterMs }: AppError): Failure {
  const { status, type, retry } = errorCatalogue[code];
  const headers: Record<string, string> = {};
  if (retry === "never") headers["x-should-retry"] = "false";
  if (code === "deadline_exceeded" && param === "queued") headers["x-should-retry"] = "true";
  if (retry === "after") {
    const waitMs = Math.min(Math.max(retryAfterMs ?? RETRY_AFTER_DEFAULT_MS, 1), RETRY_AFTER_MAX_MS);
    headers["retry-after"] = String(Math.ceil(waitMs / 1_000));
    headers["retry-after-ms"] = String(Math.ceil(waitMs));
  }
  if (code === "invalid_api_key") headers["www-authenticate"] = "Bearer";
  if (CLOSING.includes(code)) headers["connection"] = "close";
  return { status, code, message, type, param, headers };
}

/** The answer to a failure in OpenAI's envelope. */
export function errorResponse(error: AppError, moreFields: Readonly<Record<string, unknown>> = {}): Response {
  const { status, headers } = failureOf(error);
  return Response.json({ ...errorEnvelope(error), ...moreFields }, { status, headers });
}

/** The same in the words of a route's dialect, where it has any. */
export function failureResponse(error: AppError, answer: AnswerFailure | undefined): Response {
  if (answer === undefined) return errorResponse(error);
  try {
    const response: unknown = answer(failureOf(error));
    return response instanceof Response ? response : errorResponse(error);
  } catch {
    // The client still learns of the first failure, in the host's own words.
    return errorResponse(error);
  }
}

/** By which a function names the failure that it answers itself, for log and metrics. */
const CODE_HEADER = "x-embedge-code";

/** The failure that a function's own answer tells of; undefined where it names none of the catalogue. */
export function refusalIn({ status, headers }: Response): AppError | undefined {
  const code = status < 400 ? null : headers.get(CODE_HEADER);
  return code !== null && Object.hasOwn(errorCatalogue, code) ? new AppError(code as ErrorCode) : undefined;
}

export interface ErrorEnvelope {
  readonly error: {
    readonly message: string;
    readonly type: string;
    readonly param: string | null;
    readonly code: ErrorCode;
  };
}

/** OpenAI's envelope, which all its clients unpack. */
export function errorEnvelope({ code, message, param }: AppError): ErrorEnvelope {
  return { error: { message, type: errorCatalogue[code].type, param: param ?? null, code } };
}
