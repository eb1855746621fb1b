import { afterAll, beforeAll, expect, test } from "vitest";
import type { BatchRequest, BatchResult, WorkerPool } from "../../runtime/pool/worker-pool.ts";
import { startRealHost, type RealHost } from "../doubles/real-host.ts";

const PERMITS = 4;
let host: RealHost;
let inFlight = 0;
let inFlightMost = 0;
const started: string[] = [];

beforeAll(async () => {
  host = await startRealHost({ config: { pool: { permits: PERMITS } }, wrapPool: recorded });
}, 60_000);
afterAll(() => host.close());

test(`test_gil_semaphore_queuing: with ${PERMITS} permits never more than ${PERMITS} batches are in flight, and texts start in the order of their arrival`, async () => {
  // One event loop turn submits them all, so the order of arrival is the order of this list.
  const texts = Array.from({ length: 400 }, (_, at) => `text number ${at} ${"word ".repeat(at % 40)}`);
  const answers = await Promise.all(texts.map((text) => host.embed([text])));
  expect(answers).toHaveLength(texts.length);
  expect(started).toEqual(texts);
  expect(inFlightMost).toBeGreaterThan(1);
  expect(inFlightMost).toBeLessThanOrEqual(PERMITS);
  expect(inFlight).toBe(0);
}, 60_000);

/** The real pool, with a count of the batches inside it. */
function recorded(pool: WorkerPool): WorkerPool {
  return {
    start: (listener) => pool.start(listener),
    discard: (workerId) => pool.discard(workerId),
    stop: (graceMs) => pool.stop(graceMs),
    status: () => pool.status(),
    async run(workerId: string, request: BatchRequest): Promise<BatchResult> {
      started.push(...request.texts);
      inFlightMost = Math.max(inFlightMost, ++inFlight);
      try {
        return await pool.run(workerId, request);
      } finally {
        inFlight--;
      }
    },
  };
}
