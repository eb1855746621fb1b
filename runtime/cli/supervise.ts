import cluster, { type Worker } from "node:cluster";
import os from "node:os";
import { complain, print } from "./output.ts";

/** What a host tells the process above it, and hears from it. */
export interface Supervisor {
  /** Another host serves on the same sockets: listen once everything can be served. */
  readonly isSuccessor: boolean;
  /** Serves from now on; the host before it is told to retire. */
  ready(): void;
  /** Calls `retire` once when a successor serves. */
  onRetire(retire: () => void): void;
}

type FromHost = { readonly type: "ready" };
type ToHost = { readonly type: "retire" };

/** A new host that cannot serve by then is ended; the old one goes on. */
const SUCCESSOR_READY_MS = 300_000;
/** One Ctrl-C comes twice where npm passes it on. */
export const SAME_SIGNAL_MS = 500;
/** What a host has after the second signal. */
const LAST_GRACE_MS = 1_000;
const SUCCESSOR = "EMBEDGE_SUCCESSOR";
/** With Node's 16 MB the memory of a busy host grows by 340 MB over a million requests, though nothing leaks; with 4 MB it stays (npm run soak). */
const MEMORY_FLAGS = ["--max-semi-space-size=4"];

/**
 * Runs `serve` in a child process, the host; resolves in the host alone. This process stays above it with the sockets, passes signals on,
 * and ends as its last host does.
 *
 * SIGUSR2 starts another host by the same command line, so with new code and settings. It takes over the sockets, so nothing that waits to
 * be accepted is lost; when it can serve, the old one retires. Where it ends before that, the old one goes on.
 */
export function supervise(serve: (supervisor: Supervisor) => Promise<void>): Promise<void> {
  if (cluster.isWorker) return serve(supervisorAbove());
  // Each host accepts for itself: the connections do not pass through this process.
  cluster.schedulingPolicy = cluster.SCHED_NONE;
  cluster.setupPrimary({ execArgv: [...process.execArgv, ...MEMORY_FLAGS] });
  const hosts = new Set<Worker>();
  let serving = start(hosts, false);
  let successor: Worker | undefined;
  let limit: NodeJS.Timeout | undefined;
  let exitCode = 0;

  cluster.on("message", (host, message: FromHost) => {
    if (message.type !== "ready" || host !== successor) return;
    clearTimeout(limit);
    print("The new host serves; the old one finishes what it has.");
    if (hosts.has(serving)) serving.send({ type: "retire" } satisfies ToHost);
    serving = host;
    successor = undefined;
  });
  cluster.on("exit", (host, code: number | null, signal: NodeJS.Signals | null) => {
    hosts.delete(host);
    const status = signal === null ? (code ?? 0) : 128 + os.constants.signals[signal];
    if (host === serving) exitCode = status;
    if (host === successor) {
      clearTimeout(limit);
      successor = undefined;
      if (hosts.has(serving)) complain(`The new host ended with ${status} before it could serve; the old one goes on.`);
      else exitCode = status;
    }
    if (hosts.size === 0) process.exit(exitCode);
  });
  let firstSignalAtMs = Infinity;
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) {
    process.on(signal, () => {
      for (const host of hosts) host.process.kill(signal);
      if (signal === "SIGHUP") return;
      const nowMs = performance.now();
      // A host ends itself at the second signal, unless a function loops.
      if (nowMs - firstSignalAtMs > SAME_SIGNAL_MS) setTimeout(() => killAll(hosts), LAST_GRACE_MS);
      firstSignalAtMs = Math.min(firstSignalAtMs, nowMs);
    });
  }
  process.on("SIGUSR2", () => {
    if (successor !== undefined) return complain("SIGUSR2: a new host is being started already.");
    print("SIGUSR2: starting a new host.");
    successor = start(hosts, true);
    limit = setTimeout(() => successor?.process.kill("SIGKILL"), SUCCESSOR_READY_MS);
  });
  return new Promise(() => {});
}

function killAll(hosts: ReadonlySet<Worker>): void {
  for (const host of hosts) host.process.kill("SIGKILL");
}

function start(hosts: Set<Worker>, isSuccessor: boolean): Worker {
  const host = cluster.fork(isSuccessor ? { [SUCCESSOR]: "1" } : {});
  hosts.add(host);
  return host;
}

function supervisorAbove(): Supervisor {
  const isSuccessor = process.env[SUCCESSOR] !== undefined;
  // Nobody below the host has to do with it.
  delete process.env[SUCCESSOR];
  return {
    isSuccessor,
    ready: () => void process.send?.({ type: "ready" } satisfies FromHost),
    onRetire(retire) {
      process.on("message", (message: ToHost) => {
        if (message.type === "retire") retire();
      });
    },
  };
}
