import type { AnswerFailure, EventHandler, FunctionLimits, FunctionModule, Handler } from "../../functions/_types.ts";

const METHOD_EXPORT = /^(?:onRequest\w*|GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS)$/;

/** The handlers of events, each with its `this`. */
export interface Events {
  readonly scheduled?: NonNullable<EventHandler["scheduled"]>;
  readonly queue?: NonNullable<EventHandler["queue"]>;
}

/** What a file of functions/ exports. */
export interface ReadModule {
  /** Undefined where it answers no requests, but events alone. */
  readonly handler: Handler | undefined;
  readonly events: Events;
  /** Undefined where it says nothing of them. */
  readonly methods: readonly string[] | undefined;
  readonly limits: FunctionLimits;
  /** How it says a failure; undefined where that is left to the host. */
  readonly answerFailure: AnswerFailure | undefined;
  /** Schemas that document it, as far as it has them. */
  readonly body?: FunctionModule["body"];
  readonly answer?: FunctionModule["answer"];
}

/** Throws with what to write where something is missing or wrong. */
export function readModule(module: Readonly<Record<string, unknown>>): ReadModule {
  const { default: exported } = module;
  const events = readEvents(exported);
  const hasEvents = events.scheduled !== undefined || events.queue !== undefined;
  return {
    handler: hasEvents && !isHandler(exported) ? undefined : readHandler(module),
    events,
    methods: readMethods(module),
    limits: readLimits(module),
    answerFailure: readAnswerFailure(module),
    ...readSchemas(module),
  };
}

function isHandler(exported: unknown): exported is Handler {
  return (
    typeof exported === "object" && exported !== null && "fetch" in exported && typeof exported.fetch === "function"
  );
}

function readHandler(module: Readonly<Record<string, unknown>>): Handler {
  const handler = module["default"];
  if (isHandler(handler)) return handler;
  const method = Object.keys(module).find((name) => METHOD_EXPORT.test(name));
  const wanted = "write `export default { fetch(request, env, context) { … } }`";
  if (method !== undefined) throw new TypeError(`it exports ${method}, which is not supported: ${wanted}`);
  throw new TypeError(`it has no default export with a \`fetch\` method: ${wanted}`);
}

/** Methods of the default export, as on Cloudflare; they keep their `this`. */
function readEvents(exported: unknown): Events {
  if (typeof exported !== "object" || exported === null) return {};
  const own = exported as EventHandler;
  return {
    ...(typeof own.scheduled === "function" && { scheduled: own.scheduled.bind(own) }),
    ...(typeof own.queue === "function" && { queue: own.queue.bind(own) }),
  };
}

function readMethods(module: Readonly<Record<string, unknown>>): readonly string[] | undefined {
  const methods: unknown = module["methods"];
  if (methods === undefined) return undefined;
  if (Array.isArray(methods) && methods.length > 0 && methods.every((method) => /^[A-Z]+$/.test(String(method)))) {
    return methods.map(String);
  }
  throw new TypeError('`methods` must be a list such as ["GET", "POST"]');
}

const LIMITS: readonly string[] = ["timeoutMs", "bodyBytesMax"] satisfies readonly (keyof FunctionLimits)[];

function readLimits(module: Readonly<Record<string, unknown>>): FunctionLimits {
  const limits: unknown = module["limits"];
  if (limits === undefined) return {};
  const isRight =
    typeof limits === "object" &&
    limits !== null &&
    Object.entries(limits).every(([name, value]) => LIMITS.includes(name) && Number.isSafeInteger(value) && value >= 1);
  if (isRight) return limits;
  throw new TypeError("`limits` may hold `timeoutMs` and `bodyBytesMax`, whole numbers of 1 or more");
}

function readAnswerFailure(module: Readonly<Record<string, unknown>>): AnswerFailure | undefined {
  const answer: unknown = module["answerFailure"];
  if (answer === undefined || typeof answer === "function") return answer as AnswerFailure | undefined;
  throw new TypeError("`answerFailure` must be a function that makes a Response of a failure");
}

function readSchemas(module: Readonly<Record<string, unknown>>): Pick<FunctionModule, "body" | "answer"> {
  const { body, answer } = module;
  return { ...(isSchema(body) && { body }), ...(isSchema(answer) && { answer }) };
}

function isSchema(value: unknown): value is NonNullable<FunctionModule["body"]> {
  return typeof value === "object" && value !== null && "_zod" in value;
}
