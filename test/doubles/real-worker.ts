import { existsSync } from "node:fs";
import { join } from "node:path";

export const REAL_MODEL = "all-MiniLM-L6-v2";

export interface RealWorker {
  readonly command: readonly [file: string, ...args: string[]];
  readonly model: string;
  readonly modelFolder: string;
  /** Undefined where the platform's own BLAS is used (macOS). */
  readonly blasPath: string | undefined;
}

/**
 * Where the Python environment, the model and the BLAS are: `.embedge/` of this repository, or
 * EMBEDGE_TEST_PYTHON, EMBEDGE_TEST_MODEL and EMBEDGE_TEST_BLAS. Throws when the set-up has not been run.
 */
export function findRealWorker(): RealWorker {
  const repository = join(import.meta.dirname, "../..");
  const place = (variable: string, fallback: string): string =>
    process.env[variable] ?? join(repository, ".embedge", fallback);
  const python = place("EMBEDGE_TEST_PYTHON", "python/bin/python");
  const modelFolder = place("EMBEDGE_TEST_MODEL", `models/${REAL_MODEL}`);
  const blasPath = place("EMBEDGE_TEST_BLAS", "blas/libcblas.so");
  for (const path of [python, modelFolder]) {
    if (!existsSync(path)) throw new Error(`${path} is missing: run \`npm start\` once, it sets everything up`);
  }
  return {
    command: [python, "-I", "-u", join(repository, "python/embed_worker/__main__.py")],
    model: REAL_MODEL,
    modelFolder,
    blasPath: existsSync(blasPath) ? blasPath : undefined,
  };
}
