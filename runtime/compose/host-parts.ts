import type { Clock } from "../clock.ts";
import type { WorkerPool } from "../pool/worker-pool.ts";
import type { FunctionRunner } from "../routing/function-runner.ts";
import type { WorkerOptions } from "../routing/hosted-worker.ts";

/** Replacements: `functions` and `hasTriggers` for `embedge dev`, `workers` for the Miniflare of embedge, the others for tests. */
export interface HostParts {
  /** Run in place of the functions and projects of the settings; at least one, and the first answers what no route claims. */
  readonly workers?: readonly WorkerOptions[];
  /** Lets one fire crons by hand, at the paths of wrangler's development server. */
  readonly hasTriggers?: boolean;
  /** Runs the functions in place of this process. */
  readonly functions?: FunctionRunner;
  readonly clock?: Clock;
  /** From [0, 1). */
  readonly random?: () => number;
  /** Stands in for the local pool, or around it. */
  readonly wrapPool?: (pool: WorkerPool) => WorkerPool;
}
