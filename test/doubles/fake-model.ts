import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import type { FakeWorkerScript } from "./fake-python-worker.ts";
import { isRunning } from "./pool-recorder.ts";
import { until } from "./wait.ts";

/** A model folder and a "Python" for `models.default` and `pool.python`: workers without weights that follow a script. */
export interface FakeModel {
  readonly folder: string;
  readonly python: string;
  /** The same two as variables of a CLI process, with the settings that fake workers need. */
  readonly environment: Readonly<Record<string, string>>;
  /** Every worker process ever started. */
  workerPids(): readonly number[];
  /** Resolves when the workers are gone too. */
  remove(): Promise<void>;
}

const fakeWorker = path.join(import.meta.dirname, "fake-python-worker.ts");

export function makeFakeModel(script: FakeWorkerScript = {}): FakeModel {
  const folder = mkdtempSync(path.join(os.tmpdir(), "embedge-serve-"));
  writeModel(folder, script);
  const workerPids = (): readonly number[] => {
    const starts = path.join(folder, "starts");
    return existsSync(starts) ? readFileSync(starts, "utf8").trim().split("\n").map(Number) : [];
  };
  const python = writeInterpreter(folder);
  return {
    folder,
    python,
    environment: {
      EMBEDGE_MODEL: folder,
      EMBEDGE_POOL_PYTHON: python,
      EMBEDGE_POOL_DEVICE: "cpu",
      EMBEDGE_POOL_PIN: "off",
    },
    workerPids,
    async remove() {
      await until("the workers are gone", () => !workerPids().some(isRunning));
      rmSync(folder, { recursive: true });
    },
  };
}

/** As much of a model as the host looks at, and the script of a fake worker. */
export function writeModel(folder: string, script: FakeWorkerScript = {}): void {
  for (const name of ["config.json", "tokenizer.json"]) writeFileSync(path.join(folder, name), "{}");
  const header = Buffer.from("{}");
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  writeFileSync(path.join(folder, "model.safetensors"), Buffer.concat([length, header]));
  writeFileSync(path.join(folder, "fake.json"), JSON.stringify(script));
}

/** Stands in for Python: takes `-I -u …/embed_worker/__main__.py` and runs the fake worker instead. */
function writeInterpreter(folder: string): string {
  const file = path.join(folder, "python");
  writeFileSync(file, `#!/bin/sh\nshift 3\nexec "${process.execPath}" "${fakeWorker}" "$@"\n`);
  chmodSync(file, 0o755);
  return file;
}
