import { AppError, type ErrorCode, errorCatalogue } from "../errors.ts";

/** How Workers AI tells of a failure. */
export interface UpstreamCode {
  readonly code: number;
  readonly httpStatus: number;
}

/**
 * Codes from developers.cloudflare.com/workers-ai/platform/errors. Two stand in no list but in what the service sends:
 * 5006 for an input that does not fit the model's schema, 3043 for a failure of the service itself.
 */
const upstream = {
  invalidInput: { code: 5006, httpStatus: 400 },
  invalidData: { code: 5004, httpStatus: 400 },
  noSuchModel: { code: 5007, httpStatus: 400 },
  tooLarge: { code: 3006, httpStatus: 413 },
  timeout: { code: 3007, httpStatus: 408 },
  aborted: { code: 3008, httpStatus: 408 },
  outOfCapacity: { code: 3040, httpStatus: 429 },
  internal: { code: 3043, httpStatus: 500 },
} satisfies Record<string, UpstreamCode>;

/** Of several failures with one code, the first is what the code means when Cloudflare's own service sends it. */
const upstreamCodes: Partial<Record<ErrorCode, UpstreamCode>> = {
  invalid_request: upstream.invalidInput,
  invalid_json: upstream.invalidInput,
  empty_input: upstream.invalidInput,
  invalid_unicode: upstream.invalidInput,
  poison_input: upstream.invalidData,
  model_not_found: upstream.noSuchModel,
  input_too_long: upstream.tooLarge,
  too_many_inputs: upstream.tooLarge,
  body_too_large: upstream.tooLarge,
  deadline_exceeded: upstream.timeout,
  client_gone: upstream.aborted,
  queue_full: upstream.outOfCapacity,
  tenant_queue_full: upstream.outOfCapacity,
  starting: upstream.outOfCapacity,
  draining: upstream.outOfCapacity,
  no_worker: upstream.outOfCapacity,
  internal_error: upstream.internal,
};

export function upstreamCodeOf(error: AppError): UpstreamCode {
  return upstreamCodes[error.code] ?? upstream.internal;
}

/** The names that the service's own errors have. */
const NAMES: readonly string[] = ["AiError", "InferenceUpstreamError"];

/** The service says AiError where the caller is to blame. */
function nameOf({ httpStatus }: UpstreamCode): string {
  return httpStatus === 400 || httpStatus === 413 ? "AiError" : "InferenceUpstreamError";
}

/**
 * The error of Workers AI's class: code and text stand in `message`, and there are no other fields.
 * `cause` is an addition of embedge: the failure by our own catalogue.
 */
export class InferenceUpstreamError extends Error {
  constructor(cause: AppError) {
    const upstreamCode = upstreamCodeOf(cause);
    super(`${upstreamCode.code}: ${describe(cause)}`, { cause });
    this.name = nameOf(upstreamCode);
  }
}

/** The body from which the class inside workerd makes the very same error. */
export function upstreamErrorBody(error: AppError): object {
  const upstreamCode = upstreamCodeOf(error);
  const { code } = upstreamCode;
  const text = describe(error);
  const name = nameOf(upstreamCode);
  return name === "AiError"
    ? { internalCode: code, name, description: text }
    : { success: false, errors: [{ code, message: text }] };
}

/** The class keeps nothing but a text, so what else a failure has to say stands at its end: `[invalid_request, text[3]]`. */
function describe({ code, message, param, retryAfterMs }: AppError): string {
  const facts = [code, param, retryAfterMs === undefined ? undefined : `retry after ${Math.ceil(retryAfterMs)} ms`];
  return `${message} [${facts.filter((fact) => fact !== undefined).join(", ")}]`;
}

const DESCRIBED = /^\d+: ([\s\S]*) \[([a-z_]+)(?:, ([\w.[\]]+))?(?:, retry after (\d+) ms)?\]$/;
const NUMBERED = /^(\d+): ([\s\S]+)$/;

const CONNECTION_LOST =
  "The connection to a service that the function asked was lost; behind `env.AI` stands the host (ai.upstreamPort).";

/** The failure behind an error of the genuine class, ours or Cloudflare's; undefined where it is none of either. */
export function readUpstreamError(thrown: unknown): AppError | undefined {
  if (!(thrown instanceof Error)) return undefined;
  // workerd marks so what failed on the way to another service.
  if ("retryable" in thrown && thrown.retryable === true) {
    return new AppError("no_worker", { message: CONNECTION_LOST, cause: thrown });
  }
  if (!NAMES.includes(thrown.name)) return undefined;
  const [, message = "", code = "", param, retryAfterMs] = DESCRIBED.exec(thrown.message) ?? [];
  if (isErrorCode(code)) {
    return new AppError(code, {
      message,
      cause: thrown,
      ...(param !== undefined && { param }),
      ...(retryAfterMs !== undefined && { retryAfterMs: Number(retryAfterMs) }),
    });
  }
  const [, number, text = ""] = NUMBERED.exec(thrown.message) ?? [];
  const known = Object.entries(upstreamCodes).find(([, upstreamCode]) => upstreamCode.code === Number(number));
  return known === undefined ? undefined : new AppError(known[0] as ErrorCode, { message: text, cause: thrown });
}

function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(errorCatalogue, code);
}
