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

/** The answer to a failure: the catalogue's status, OpenAI's envelope, and what clients read of when to repeat. */
export function errorResponse(error: AppError, moreFields: Readonly<Record<string, unknown>> = {}): Response {
  const { status, retry } = errorCatalogue[error.code];
  const headers = new Headers();
  if (retry === "never") headers.set("x-should-retry", "false");
  if (error.code === "deadline_exceeded" && error.param === "queued") headers.set("x-should-retry", "true");
  if (retry === "after") {
    const waitMs = Math.min(Math.max(error.retryAfterMs ?? RETRY_AFTER_DEFAULT_MS, 1), RETRY_AFTER_MAX_MS);
    headers.set("retry-after", String(Math.ceil(waitMs / 1_000)));
    headers.set("retry-after-ms", String(Math.ceil(waitMs)));
  }
  if (error.code === "invalid_api_key") headers.set("www-authenticate", "Bearer");
  if (CLOSING.includes(error.code)) headers.set("connection", "close");
  return Response.json({ ...errorEnvelope(error), ...moreFields }, { status, headers });
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
