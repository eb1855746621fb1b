import type { ErrorCode } from "../errors.ts";
import { AppError } from "../errors.ts";
import type { Compute } from "../pool/compute.ts";
import { errorResponse } from "../routing/error-response.ts";

/** Whether a worker can serve; what is wrong where none can. */
export type Readiness =
  | {
      readonly ready: true;
      readonly workersReady: number;
      readonly workersWanted: number;
      readonly models?: readonly ModelReadiness[];
      readonly compute?: Compute | undefined;
    }
  | {
      readonly ready: false;
      readonly code: Extract<ErrorCode, "starting" | "start_failed" | "no_worker" | "draining">;
      /** One sentence per worker that is not ready. */
      readonly problems: readonly string[];
      /** When to ask again, in milliseconds from now; undefined where nobody knows. */
      readonly retryAfterMs: number | undefined;
    };

/** A model that is in memory, or on its way. */
export interface ModelReadiness {
  readonly name: string;
  /** "loading", "loaded" or "unloading". */
  readonly stage: string;
  /** Undefined until it was loaded for the first time. */
  readonly revision: string | undefined;
  readonly workersReady: number;
}

export interface OperationsSources {
  readonly readiness: () => Readiness;
  /** Prometheus text, and its content type. */
  readonly metrics: () => Promise<{ readonly contentType: string; readonly text: string }>;
  /** What can be asked of this host. */
  readonly openApi: () => object;
}

export const METRICS_PATH = "/metrics";

/** By path: `/healthz`, the process answers; `/readyz`, a worker can serve; `/metrics`, numbers for Prometheus; `/openapi.json`. */
export function createOperations(sources: OperationsSources): ReadonlyMap<string, () => Promise<Response>> {
  return new Map([
    ["/healthz", async () => answer(JSON.stringify({ status: "ok" }), "application/json")],
    ["/readyz", async () => readyz(sources.readiness())],
    [
      METRICS_PATH,
      async () => {
        const { contentType, text } = await sources.metrics();
        return answer(text, contentType);
      },
    ],
    ["/openapi.json", async () => answer(JSON.stringify(sources.openApi()), "application/json")],
  ]);
}

function readyz(state: Readiness): Response {
  if (state.ready) {
    const workers = { ready: state.workersReady, wanted: state.workersWanted };
    return answer(
      JSON.stringify({ status: "ready", workers, models: state.models, ...state.compute }),
      "application/json",
    );
  }
  const { code, problems, retryAfterMs } = state;
  return errorResponse(new AppError(code, { ...(retryAfterMs !== undefined && { retryAfterMs }) }), { problems });
}

/** With its length, so that HEAD tells it too. */
function answer(text: string, contentType: string): Response {
  const length = String(Buffer.byteLength(text));
  return new Response(text, { headers: { "content-type": contentType, "content-length": length } });
}
