import { createScriptedPool } from "../doubles/scripted-pool.ts";
import { FAKE_MODEL } from "../doubles/fake-answer.ts";
import { makeFakePool } from "../doubles/fake-pool.ts";
import { createCountingClock } from "../doubles/pool-recorder.ts";
import { describeWorkerPool } from "./worker-pool.contract.ts";

const slowTexts = ["fault:stall"];

describeWorkerPool("scripted, in memory", async () => {
  const clock = createCountingClock();
  const pool = createScriptedPool({ workerPermits: [3, 2], clock });
  return {
    pool,
    model: FAKE_MODEL,
    workers: 2,
    permits: 5,
    slowTexts,
    close: async () => clock.expectNoTimer(),
  };
});

describeWorkerPool("local, over fake workers", async () => {
  const { pool, close } = await makeFakePool({}, { workers: 2, permits: 5 });
  return { pool, model: FAKE_MODEL, workers: 2, permits: 5, slowTexts, close };
});
