/** One row of the catalogue: what a client gets, and what it may do about it. */
export interface ErrorEntry {
  readonly status: number;
  /** The `type` of the OpenAI envelope. */
  readonly type: ErrorType;
  /** `never`: repeating cannot help. `after`: Retry-After says when. `client`: the client decides. */
  readonly retry: "never" | "after" | "client";
  readonly meaning: string;
}

export type ErrorType =
  | "invalid_request_error"
  | "authentication_error"
  | "permission_error"
  | "overloaded_error"
  | "timeout_error"
  | "server_error";

export type ErrorCode =
  | "invalid_json"
  | "invalid_request"
  | "empty_input"
  | "too_many_inputs"
  | "input_too_long"
  | "invalid_unicode"
  | "invalid_host"
  | "invalid_api_key"
  | "host_not_allowed"
  | "origin_not_allowed"
  | "not_found"
  | "model_not_found"
  | "method_not_allowed"
  | "body_timeout"
  | "body_too_large"
  | "unsupported_media_type"
  | "unsupported_content_encoding"
  | "expectation_failed"
  | "poison_input"
  | "queue_full"
  | "tenant_queue_full"
  | "rate_limited"
  | "headers_too_large"
  | "client_gone"
  | "body_already_read"
  | "internal_error"
  | "function_error"
  | "function_failed"
  | "starting"
  | "start_failed"
  | "draining"
  | "no_worker"
  | "worker_failed"
  | "model_unavailable"
  | "model_too_large"
  | "model_changed"
  | "deadline_exceeded";

/** Every failure a client can be told of. `docs/errors.md` is generated from this table. */
export const errorCatalogue: Readonly<Record<ErrorCode, ErrorEntry>> = {
  invalid_json: refused(400, "The body is not valid JSON."),
  invalid_request: refused(400, "A field is missing or has the wrong type; `param` names it."),
  empty_input: refused(400, "There is no text to embed, or one of the texts is empty."),
  too_many_inputs: refused(400, "More texts than one call may hold."),
  input_too_long: refused(400, "One text has more bytes than the limit."),
  invalid_unicode: refused(400, "A text holds half of a surrogate pair."),
  invalid_host: refused(400, "The Host header is missing, doubled or malformed."),
  invalid_api_key: {
    status: 401,
    type: "authentication_error",
    retry: "never",
    meaning: "There is no API key with the request, or one that is not known here: `Authorization: Bearer KEY`.",
  },
  host_not_allowed: {
    status: 403,
    type: "permission_error",
    retry: "never",
    meaning: "The Host header names a host that is not ours (DNS rebinding).",
  },
  origin_not_allowed: {
    status: 403,
    type: "permission_error",
    retry: "never",
    meaning: "A web page of another origin may not call this host.",
  },
  not_found: refused(404, "No route matches."),
  model_not_found: refused(404, "No such model; the message lists those there are."),
  method_not_allowed: refused(405, "The route does not answer this method; `Allow` lists those it does."),
  body_timeout: { status: 408, type: "timeout_error", retry: "client", meaning: "The body did not arrive in time." },
  body_too_large: refused(413, "The body has more bytes than the limit."),
  unsupported_media_type: refused(415, "The body must be JSON."),
  unsupported_content_encoding: refused(415, "Compressed bodies are not accepted."),
  expectation_failed: refused(417, "Only `Expect: 100-continue` is understood."),
  poison_input: refused(
    422,
    "This text alone makes the model fail; `param` names it. The other texts are not to blame.",
  ),
  queue_full: {
    status: 429,
    type: "overloaded_error",
    retry: "after",
    meaning: "The queue is full; nothing was started.",
  },
  tenant_queue_full: {
    status: 429,
    type: "overloaded_error",
    retry: "after",
    meaning: "The queue is full and you hold more than your share of it; nothing was started.",
  },
  rate_limited: {
    status: 429,
    type: "overloaded_error",
    retry: "after",
    meaning: "More requests a minute than this API key may send.",
  },
  headers_too_large: refused(431, "The request line or the headers are too large."),
  client_gone: refused(499, "The client went away. Seen in logs and metrics only."),
  body_already_read: {
    status: 500,
    type: "server_error",
    retry: "never",
    meaning:
      "A body parser of the server around embedge has read the body and left nothing to read it from; mount embedge before that parser.",
  },
  internal_error: {
    status: 500,
    type: "server_error",
    retry: "client",
    meaning: "A bug in embedge; the log has the details under the request id.",
  },
  function_error: {
    status: 500,
    type: "server_error",
    retry: "never",
    meaning: "The function threw; the log has the details under the request id.",
  },
  function_failed: {
    status: 503,
    type: "server_error",
    retry: "never",
    meaning: "The function's file could not be loaded; the log says why. Other routes are not affected.",
  },
  starting: { status: 503, type: "server_error", retry: "after", meaning: "The model is still loading." },
  start_failed: {
    status: 503,
    type: "server_error",
    retry: "after",
    meaning:
      "No worker can start; `problems` of /readyz says why. It is tried again, so that mending the cause is enough.",
  },
  draining: { status: 503, type: "server_error", retry: "after", meaning: "This host is shutting down." },
  no_worker: {
    status: 503,
    type: "server_error",
    retry: "after",
    meaning: "No worker is running; one is being restarted.",
  },
  worker_failed: {
    status: 503,
    type: "server_error",
    retry: "after",
    meaning: "The workers failed this batch too often.",
  },
  model_unavailable: {
    status: 503,
    type: "server_error",
    retry: "after",
    meaning: "This model could not be loaded; the message and the log say why. Other models are not affected.",
  },
  model_changed: {
    status: 503,
    type: "server_error",
    retry: "after",
    meaning: "The model's files were replaced while this call ran: its vectors would be of two revisions.",
  },
  model_too_large: {
    status: 503,
    type: "server_error",
    retry: "never",
    meaning: "This model needs more memory than `models.memoryBytesMax` allows.",
  },
  deadline_exceeded: {
    status: 504,
    type: "timeout_error",
    retry: "client",
    meaning: "The deadline passed; `param` and the message name the phase: queued, loading, batched or in_flight.",
  },
};

export interface AppErrorOptions {
  /** What happened, for the person who reads the answer; never a text, a vector or a key. Default: the catalogue's meaning. */
  readonly message?: string;
  /** The field that is to blame (`texts[3]`), or the phase of a deadline. */
  readonly param?: string;
  /** For `retry: "after"`: when a repeat may succeed, milliseconds from now. */
  readonly retryAfterMs?: number;
  readonly cause?: unknown;
}

/** A failure the caller can act on; status, retry advice and meaning stand in the catalogue under `code`. */
export class AppError extends Error {
  readonly code: ErrorCode;
  readonly param: string | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(code: ErrorCode, options: AppErrorOptions = {}) {
    super(options.message ?? errorCatalogue[code].meaning, { cause: options.cause });
    this.name = "AppError";
    this.code = code;
    this.param = options.param;
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** Where a request was when its deadline passed. */
export type DeadlinePhase = keyof typeof deadlineMessages;

const deadlineMessages = {
  queued: "The deadline passed while the texts waited for a worker (queued).",
  loading: "The deadline passed while the texts waited for their model to be loaded (loading).",
  batched: "The deadline passed while the texts stood behind another batch in their worker (batched).",
  in_flight: "The deadline passed while the function or its batch was running (in_flight).",
} as const;

export function deadlineExceeded(phase: DeadlinePhase): AppError {
  return new AppError("deadline_exceeded", { param: phase, message: deadlineMessages[phase] });
}

/** The client is to blame, and sending the same again cannot help. */
function refused(status: number, meaning: string): ErrorEntry {
  return { status, type: "invalid_request_error", retry: "never", meaning };
}
