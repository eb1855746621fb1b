import { createHost, type Host, type Settings } from "../../runtime/embedge.ts";
import { makeFakeModel } from "./fake-model.ts";
import type { FakeWorkerScript } from "./fake-python-worker.ts";

export interface FakeHost extends AsyncDisposable {
  readonly host: Host;
  /** Every worker process ever started. */
  workerPids(): readonly number[];
}

/** A host as a program makes it, over one fake worker; it ends with its workers. */
export async function createFakeHost(settings: Settings = {}, script: FakeWorkerScript = {}): Promise<FakeHost> {
  const fake = makeFakeModel(script);
  const host = await createHost({
    log: { level: "silent" },
    ...settings,
    models: { default: fake.folder },
    pool: { python: fake.python, blas: "none", device: "cpu", pin: "off", workers: 1, ...settings.pool },
  });
  return {
    host,
    workerPids: fake.workerPids,
    async [Symbol.asyncDispose]() {
      await host.close();
      await fake.remove();
    },
  };
}
