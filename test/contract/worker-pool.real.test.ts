import { makeRealPool } from "../doubles/real-pool.ts";
import { REAL_MODEL } from "../doubles/real-worker.ts";
import { describeWorkerPool } from "./worker-pool.contract.ts";

/** More than a second of work: 64 texts of 256 tokens. */
const slowTexts = Array.from({ length: 64 }, (_, at) => `${at} `.repeat(300));

describeWorkerPool(
  "local, over Python with the real model",
  async () => ({ ...makeRealPool({ workers: 2, permits: 5 }), model: REAL_MODEL, workers: 2, permits: 5, slowTexts }),
  {
    timeoutMs: 60_000,
    skip: [
      {
        reason: "no text makes a healthy model fail",
        tests: [
          "marks a row that is no vector and answers the others (W29)",
          "fails a batch that the worker refuses, and keeps the worker",
          "loses the worker that dies over a batch, and no other",
        ],
      },
    ],
  },
);
