import { AppError } from "../errors.ts";
import { errorResponse, toAppError } from "../routing/error-response.ts";
import { refuseMethod } from "../routing/methods.ts";
import { checkHost, type HostPolicy } from "./host-check.ts";
import { withRequestId } from "./node-listener.ts";
import { createOperations, METRICS_PATH, type OperationsSources } from "./operations.ts";

export interface MetricsDoorOptions {
  readonly operations: OperationsSources;
  readonly hosts: () => HostPolicy;
  /** Throws where whoever sends these headers may not read them. */
  readonly check: (headers: Headers) => void;
}

/** `/metrics` on an address of its own, as one `fetch`: for those who watch the host and not for those who use it. */
export function createMetricsDoor({
  operations,
  hosts,
  check,
}: MetricsDoorOptions): (request: Request) => Promise<Response> {
  const metrics = createOperations(operations).get(METRICS_PATH);
  return async (request) => {
    try {
      checkHost(request, hosts());
      if (request.headers.has("origin")) throw new AppError("origin_not_allowed");
      if (metrics === undefined || new URL(request.url).pathname !== METRICS_PATH) throw new AppError("not_found");
      check(request.headers);
      return refuseMethod(request.method, ["GET"]) ?? (await metrics());
    } catch (thrown) {
      return withRequestId(errorResponse(toAppError(thrown, "internal_error")));
    }
  };
}
