import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ServedCli, serveWithFakeWorkers } from "./served-cli.ts";

/** What a host has open, by its own account. */
export interface HostState {
  readonly rssBytes: number;
  /** What is reachable, in the heap and outside of it. */
  readonly liveBytes: number;
  /** By kind: sockets, timers, pipes. */
  readonly active: Readonly<Record<string, number>>;
}

/** `embedge serve` as a process of its own, over fake workers, with the functions of this repository and one that looks inside. */
export interface SoakedHost extends AsyncDisposable {
  readonly served: ServedCli;
  readonly url: string;
  /** After a full garbage collection. */
  state(): Promise<HostState>;
  /** A number of `/metrics`, summed over its labels; those of `only` alone where given. */
  metric(name: string, only?: RegExp): Promise<number>;
}

const repository = join(import.meta.dirname, "../..");
const INSIDE = `import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc");
export default {
  fetch() {
    collect();
    const active = Object.fromEntries(
      [...Map.groupBy(process.getActiveResourcesInfo(), (kind) => kind)].map(([kind, all]) => [kind, all.length]),
    );
    const { rss, heapUsed, external } = process.memoryUsage();
    return Response.json({ rssBytes: rss, liveBytes: heapUsed + external, active });
  },
};
`;

export async function startSoakedHost(args: readonly string[] = []): Promise<SoakedHost> {
  const folder = mkdtempSync(join(tmpdir(), "embedge-soak-"));
  cpSync(join(repository, "functions"), join(folder, "functions"), { recursive: true });
  symlinkSync(join(repository, "node_modules"), join(folder, "node_modules"));
  writeFileSync(join(folder, "functions/inside.mjs"), INSIDE);
  const served = serveWithFakeWorkers({}, [
    "--functions-dir",
    join(folder, "functions"),
    "--log-level",
    "warn",
    ...args,
  ]);
  await served.untilSaid("ready on");
  const url = await served.url();
  return {
    served,
    url,
    state: async () => (await (await fetch(`${url}/inside`)).json()) as HostState,
    async metric(name, only = /./) {
      const text = await (await fetch(`${url}/metrics`)).text();
      const lines = text.split("\n").filter((line) => new RegExp(`^${name}[ {]`).test(line) && only.test(line));
      return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" "))), 0);
    },
    async [Symbol.asyncDispose]() {
      await served[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true });
    },
  };
}

/** File descriptors that the host holds, without those of the process above it; undefined where the system does not tell. */
export function openDescriptors(served: ServedCli): number | undefined {
  const { stdout } = spawnSync("pgrep", ["-P", String(served.child.pid)], { encoding: "utf8" });
  const [pid = ""] = stdout.trim().split("\n");
  const list = spawnSync("ls", [`/proc/${pid}/fd`], { encoding: "utf8" });
  return list.status === 0 ? list.stdout.trim().split("\n").length : undefined;
}
