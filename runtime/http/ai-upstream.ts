import type { Clock } from "../clock.ts";
import { AppError, errorCatalogue } from "../errors.ts";
import type { EmbedResult, ServedModel } from "../embedder/embedder.ts";
import { encodeAnswer } from "../routing/ai-answer.ts";
import type { AiRun } from "../routing/ai-binding.ts";
import { listModels } from "../routing/ai-models.ts";
import type { BodyBudget, BodyLease } from "../routing/body-budget.ts";
import { readBoundedBody } from "../routing/body-limit.ts";
import { toAppError } from "../routing/error-response.ts";
import { upstreamCodeOf, upstreamErrorBody } from "../routing/upstream-error.ts";
import { isLoopback } from "./host-check.ts";

export interface AiUpstreamOptions {
  /** Checks and embeds; rejects with an AppError. */
  embed(run: AiRun): Promise<EmbedResult>;
  models(): readonly ServedModel[];
  readonly clock: Clock;
  /** Time of one run. */
  readonly requestTimeoutMs: number;
  readonly bodyBytesMax: number;
  /** Room for the bodies of all requests together. */
  readonly bodies?: BodyBudget | undefined;
  /** Told of each run, when its answer begins. */
  readonly onRun?: (record: UpstreamRecord) => void;
  /** Told once, when a run asks for an AI Gateway, which there is none here. */
  readonly onGateway?: () => void;
}

/** What the log keeps of a run: never a text or a vector. */
export interface UpstreamRecord {
  /** What the function finds in `env.AI.lastRequestId`. */
  readonly id: string;
  readonly ms: number;
  readonly error: AppError | undefined;
  readonly embedded: EmbedResult | undefined;
}

/** The name under which workerd's `Ai` class calls its service. */
const SERVICE_HOST = "workers-binding.ai";
/** Exactly so: with a charset behind it, the class returns a stream in place of the object. */
const JSON_TYPE = "application/json";
const NOT_HERE = { success: false, errors: [{ code: 7000, message: "not available locally" }] };

/**
 * The service behind the `Ai` class of workerd, as one `fetch`.
 *
 * Two framings: the class's own requests, and those of the remote-binding proxy, which carry the true URL in `mf-url` and the
 * true headers as `mf-header-…`. Only for this machine's own programs: what a web page can send is refused.
 */
export function createAiUpstream(options: AiUpstreamOptions): (request: Request) => Promise<Response> {
  let isGatewayTold = false;

  async function run(call: ServiceCall): Promise<Response> {
    const id = crypto.randomUUID();
    const startedAtMs = options.clock.nowMs();
    let embedded: EmbedResult | undefined;
    let error: AppError | undefined;
    let response: Response;
    const lease = options.bodies?.open();
    try {
      const { inputs } = await readRun(call.request, options.bodyBytesMax, lease);
      embedded = await options.embed({
        model: call.headers.get("cf-consn-model-id"),
        input: inputs,
        deadlineAtMs: startedAtMs + options.requestTimeoutMs,
        signal: call.request.signal,
      });
      response = answerBytes(encodeAnswer(embedded));
    } catch (thrown) {
      error = toAppError(thrown, "internal_error");
      response = answerJson(upstreamErrorBody(error), upstreamCodeOf(error).httpStatus);
    } finally {
      lease?.release();
    }
    response.headers.set("cf-ai-req-id", id);
    options.onRun?.({ id, ms: options.clock.nowMs() - startedAtMs, error, embedded });
    return response;
  }

  return async (request) => {
    const call = readCall(request);
    if (call instanceof AppError) return refuse(call);
    const { pathname, searchParams } = call.url;
    const route = `${request.method} ${pathname}`;
    if (route === "GET /ai-api/models/search") {
      return answerJson({ success: true, result: listModels(options.models(), searchParams.get("search") ?? "") }, 200);
    }
    const isGateway = route === "POST /ai-gateway/run";
    if (route !== "POST /run" && !isGateway) return answerJson(NOT_HERE, 501);
    if (isGateway && !isGatewayTold) {
      isGatewayTold = true;
      options.onGateway?.();
    }
    return run(call);
  };
}

/** A request with its framing taken off. */
interface ServiceCall {
  readonly url: URL;
  readonly headers: Headers;
  readonly request: Request;
}

/** The failure is that of a request that no `Ai` class makes: a web page's, or one that strayed here. */
function readCall(request: Request): ServiceCall | AppError {
  const { headers } = request;
  if (headers.has("origin") || headers.has("sec-fetch-site")) return new AppError("origin_not_allowed");
  const url = new URL(request.url);
  if (url.hostname === SERVICE_HOST) return { url, headers, request };
  const framed = headers.get("mf-url");
  if (!isLoopback(url.hostname) || framed === null || !URL.canParse(framed)) return new AppError("host_not_allowed");
  const inner = new URL(framed);
  if (inner.hostname !== SERVICE_HOST) return new AppError("host_not_allowed");
  const innerHeaders = new Headers();
  for (const [name, value] of headers) {
    if (name.startsWith("mf-header-")) innerHeaders.set(name.slice("mf-header-".length), value);
  }
  return { url: inner, headers: innerHeaders, request };
}

async function readRun(
  request: Request,
  bodyBytesMax: number,
  lease: BodyLease | undefined,
): Promise<{ readonly inputs: unknown }> {
  const bytes = await readBoundedBody(request, bodyBytesMax, lease);
  try {
    const body: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    return { inputs: Reflect.get(Object(body), "inputs") as unknown };
  } catch (cause) {
    throw new AppError("invalid_json", { cause });
  }
}

function refuse(error: AppError): Response {
  const { status } = errorCatalogue[error.code];
  return answerJson({ success: false, errors: [{ code: 7001, message: error.message }] }, status);
}

function answerJson(body: object, status: number): Response {
  return answerBytes(new TextEncoder().encode(JSON.stringify(body)), status);
}

/** With its length, so that a reply that is cut can be told from a whole one. */
function answerBytes(bytes: Uint8Array<ArrayBuffer>, status = 200): Response {
  return new Response(bytes, {
    status,
    headers: { "content-type": JSON_TYPE, "content-length": String(bytes.byteLength) },
  });
}
