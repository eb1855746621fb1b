/** A host in a process of its own over a pool of known speed: two workers, two texts in 20 ms each. Prints its address. */
import { setTimeout as delay } from "node:timers/promises";
import type { WorkerPool } from "../../runtime/pool/worker-pool.ts";
import { createHost } from "../../runtime/create-host.ts";
import { fakeAnswer, fakeModelInfo } from "../doubles/fake-answer.ts";

const BATCH_MS = 20;
const [model = ""] = process.argv.slice(2);

/** Batches of one worker run one after the other. */
function createSteadyPool(): WorkerPool {
  const busy = new Map<string, Promise<void>>();
  return {
    async start(listener) {
      for (const id of ["worker-1", "worker-2"]) {
        busy.set(id, Promise.resolve());
        listener.workerReady({ id, permits: 1, model: fakeModelInfo() });
      }
    },
    async run(workerId, request) {
      const turn = (busy.get(workerId) ?? Promise.resolve()).then(() => delay(BATCH_MS));
      busy.set(workerId, turn);
      await turn;
      return fakeAnswer(request);
    },
    discard() {},
    async stop() {},
    status: () => ({ workersWanted: 2, workers: [] }),
  };
}

const settings = {
  server: { port: 0 },
  models: { default: model },
  batch: { inputsMax: 2 },
  queue: { inputsMax: 100 },
  log: { level: "silent" },
} as const;
const host = await createHost(settings, { wrapPool: createSteadyPool });
process.stdout.write(`${(await host.listen()).url}\n`);
