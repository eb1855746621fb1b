import type { ModelInfo } from "./worker-pool.ts";

/** What computes, as a person who looks after a host wants to know it. */
export interface Compute {
  readonly device: string;
  /** Whether the extra `fast` is in use. */
  readonly fast: boolean;
  /** Undefined on a GPU. `slow`: MLX runs on the reference BLAS of its own wheel, or on no better one. */
  readonly blas: { readonly name: string; readonly gflops: number; readonly slow: boolean } | undefined;
}

/** MLX's own BLAS on Linux reaches 4 to 7 GFLOP/s, OpenBLAS 50 to 200. */
const SLOW_GFLOPS = 30;

/** What a worker's probe found. */
export function computeOf({ device, fast = false, blas }: Pick<ModelInfo, "device" | "fast" | "blas">): Compute {
  if (device !== "cpu") return { device, fast, blas: undefined };
  return { device, fast, blas: { ...blas, slow: blas.gflops < SLOW_GFLOPS } };
}
