import { copyFile, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { SchedulerRoom } from "./world.ts";

/** A change to one line or so of the scheduler. */
export interface Fault {
  readonly file: string;
  /** Stands in the file exactly once. */
  readonly find: string;
  readonly replace: string;
}

const roomFolder = new URL("../../runtime/scheduler/", import.meta.url);

/** Loads a copy of the scheduler with other files and faults in it; throws where a fault no longer fits the source. */
export async function loadFaultyRoom(
  faults: readonly Fault[],
  otherFiles: Readonly<Record<string, string>> = {},
): Promise<SchedulerRoom> {
  const folder = await mkdtemp(join(tmpdir(), "faulty-scheduler-"));
  try {
    for (const file of await readdir(roomFolder)) await copyFile(new URL(file, roomFolder), join(folder, file));
    for (const [file, source] of Object.entries(otherFiles)) await writeFile(join(folder, file), source);
    for (const { file, find, replace } of faults) {
      const parts = (await readFile(join(folder, file), "utf8")).split(find);
      if (parts.length !== 2) throw new Error(`${file} holds ${parts.length - 1} times: ${find}`);
      await writeFile(join(folder, file), parts.join(replace));
    }
    const { createScheduler } = (await load(folder, "scheduler.ts")) as Pick<SchedulerRoom, "createScheduler">;
    const { cutFromHead } = (await load(folder, "batch-policy.ts")) as Pick<SchedulerRoom, "cutFromHead">;
    return { createScheduler, cutFromHead };
  } finally {
    await rm(folder, { recursive: true });
  }
}

function load(folder: string, file: string): Promise<unknown> {
  return import(/* @vite-ignore */ pathToFileURL(join(folder, file)).href);
}
