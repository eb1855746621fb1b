import type { Logger } from "pino";

/** What is known of a request when its answer begins: no text, no vector, no header. */
export interface RequestLine {
  readonly id: string;
  readonly method: string;
  readonly route: string;
  readonly kind: "function" | "operation" | "unmatched";
  readonly status: number;
  readonly ms: number;
  readonly error: { readonly code: string; readonly param: string | undefined; readonly cause?: unknown } | undefined;
  readonly embedded: RequestWork | undefined;
}

export interface RequestWork {
  readonly texts: number;
  readonly tokens: number;
  readonly queueMs: number;
  readonly batchMs: number;
  readonly models: readonly { readonly name: string; readonly revision: string }[];
}

/** What is known of one `env.AI.run` that came from outside this process. */
export interface RunLine {
  readonly id: string;
  readonly ms: number;
  readonly error: RequestLine["error"];
  readonly embedded:
    | {
        readonly model: string;
        readonly revision: string;
        readonly tokenCounts: readonly number[];
        readonly queueMs: number;
        readonly batchMs: number;
      }
    | undefined;
}

/** Failures of code, which only the log explains. */
const EXPLAINED: readonly string[] = ["internal_error", "function_error", "function_failed", "worker_failed"];

/** One line for a request: debug for probes and scrapes, error with the stack where code failed, else info. */
export function logRequest(
  logger: Logger,
  { id, method, route, status, ms, kind, error, embedded }: RequestLine,
): void {
  const fields = { id, method, route, status, ms: round(ms), ...describeWork(embedded) };
  write(logger, { fields, error, level: kind === "operation" ? "debug" : "info", message: "request" });
}

/** One line for a run: as for a request. */
export function logRun(logger: Logger, { id, ms, error, embedded }: RunLine): void {
  const work = embedded && {
    models: [{ name: embedded.model, revision: embedded.revision }],
    texts: embedded.tokenCounts.length,
    tokens: embedded.tokenCounts.reduce((sum, tokens) => sum + tokens, 0),
    queueMs: embedded.queueMs,
    batchMs: embedded.batchMs,
  };
  write(logger, { fields: { id, ms: round(ms), ...describeWork(work) }, error, level: "info", message: "run" });
}

interface Line {
  readonly fields: object;
  readonly error: RequestLine["error"];
  /** Of a line that tells of no failure of code. */
  readonly level: "debug" | "info";
  readonly message: string;
}

function write(logger: Logger, { fields, error, level, message }: Line): void {
  const facts = {
    ...fields,
    ...(error !== undefined && { code: error.code }),
    ...(error?.param !== undefined && { param: error.param }),
  };
  if (error !== undefined && EXPLAINED.includes(error.code)) {
    logger.error({ ...facts, stack: describeFailure(error.cause) }, message);
  } else logger[level](facts, message);
}

function describeWork(work: RequestWork | undefined): object {
  if (work === undefined) return {};
  const { models, texts, tokens, queueMs, batchMs } = work;
  return { ...describeModels(models), texts, tokens, queueMs: round(queueMs), batchMs: round(batchMs) };
}

/** Nearly always one; nothing where no text was embedded. */
function describeModels(models: RequestWork["models"]): { readonly model?: string; readonly revision?: string } {
  if (models.length === 0) return {};
  return {
    model: models.map(({ name }) => name).join(", "),
    revision: models.map(({ revision }) => revision).join(", "),
  };
}

function round(ms: number): number {
  return Math.round(ms * 100) / 100;
}

const STACK_CHARACTERS_MAX = 8_192;

/** The stack, and those of its causes. A value that is no Error may be anything, a text too, so only its type is told. */
export function describeFailure(thrown: unknown): string {
  const parts: string[] = [];
  let failure = thrown;
  try {
    while (failure instanceof Error && parts.length < 5) {
      parts.push(failure.stack ?? failure.message);
      failure = failure.cause;
    }
  } catch {
    // A getter of the error threw.
  }
  if (parts.length === 0) parts.push(`a value of type ${thrown === null ? "null" : typeof thrown} was thrown`);
  return parts.join("\ncaused by: ").slice(0, STACK_CHARACTERS_MAX);
}
