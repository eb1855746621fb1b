/**
 * Holds wrangler and workerd in a process group of its own, apart from the pool. The first message tells what to run.
 *
 * The channel is the lifeline too: when the host is gone, however it went, it closes, and the whole group is killed. workerd
 * would live on otherwise.
 */
import { startWrangler, type WranglerOptions, type WranglerServer } from "./wrangler.ts";
import { setQuietDefaults } from "./wrangler-env.ts";

/** What this process is asked to run. */
export type ChildOptions = Omit<WranglerOptions, "onServing" | "onProblem">;

/** What it tells. `failed`: it cannot start and a new try would fail alike. */
export type ChildMessage =
  | { readonly type: "serving"; readonly url: string }
  | { readonly type: "problem" | "failed"; readonly message: string };

/** What it is told: once what to run, at last to end. */
export type ChildCommand = { readonly type: "run"; readonly options: ChildOptions } | { readonly type: "stop" };

setQuietDefaults(process.env);

process.on("disconnect", endGroup);

let server: WranglerServer | undefined;
process.on("message", (command: ChildCommand) => {
  if (command.type === "run") void run(command.options);
  else if (server === undefined) endGroup();
  else void server.dispose().finally(() => process.exit(0));
});

async function run(options: ChildOptions): Promise<void> {
  try {
    server = await startWrangler({
      ...options,
      onServing: (url) => tell({ type: "serving", url }),
      onProblem: (message) => tell({ type: "problem", message }),
    });
  } catch (error) {
    tell({ type: "failed", message: error instanceof Error ? error.message : String(error) }, endGroup);
  }
}

function tell(message: ChildMessage, told?: () => void): void {
  process.send?.(message, undefined, undefined, told);
}

function endGroup(): void {
  process.kill(-process.pid, "SIGKILL");
}
