import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { promisify } from "node:util";

/** Ends the workerd of a process that was killed and could not end it itself. */
export interface Lifeline {
  /** Lets go; resolves when no process of it is left. */
  close(): Promise<void>;
}

/** Reads until this process is gone, and then kills what listens to the port given. */
const WATCHER = `cat >/dev/null
ps -axww -o pid=,args= | while read -r pid args; do
  case "$args" in *"workerd serve "*"=loopback=$1 "*) kill -9 "$pid";; esac
done`;

/** Addresses of Miniflares that are watched over already. */
const watched = new Set<string>();

/**
 * For the Miniflare that has just been started in this process. Its workerd is known by the address at which it finds Miniflare, which
 * stays the same when workerd is started again.
 */
export async function holdLifeline(): Promise<Lifeline> {
  const address = (await listAddresses()).find((candidate) => !watched.has(candidate));
  if (address === undefined) return { close: async () => {} };
  watched.add(address);
  const watcher = spawn("/bin/sh", ["-c", WATCHER, "embedge-lifeline", address], {
    // A group of its own: what is sent to this process's group ends workerd by way of this process.
    detached: true,
    stdio: ["pipe", "ignore", "ignore"],
  });
  watcher.unref();
  watcher.on("error", () => {
    // Without a shell there is no lifeline; workerd still ends with a process that exits.
  });
  const ended = once(watcher, "exit").catch(() => {});
  return {
    async close() {
      watched.delete(address);
      // At its end of input it would kill.
      if (watcher.pid !== undefined) process.kill(-watcher.pid, "SIGKILL");
      await ended;
    },
  };
}

/** Where the workerds that this process has started find their Miniflare. */
async function listAddresses(): Promise<readonly string[]> {
  const { stdout } = await promisify(execFile)("ps", ["-axww", "-o", "ppid=,args="]);
  return stdout.split("\n").flatMap((line) => {
    const [, parentPid, address] = /^\s*(\d+) .*workerd serve .*=loopback=([\d.]+:\d+) /.exec(line) ?? [];
    return address !== undefined && Number(parentPid) === process.pid ? [address] : [];
  });
}
