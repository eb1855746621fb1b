import type { Env, MessageBatch } from "../../functions/_types.ts";
import { AppError } from "../errors.ts";
import type { AiScope } from "./ai-scope.ts";
import { createCronRunner, type CronEvent } from "./crons.ts";
import type { EventInvocation, EventInvoker } from "./event-invocation.ts";
import type { Events } from "./function-module.ts";
import type { LiveBindings } from "./live-bindings.ts";

export interface WorkerEventsOptions {
  /** Those of the version that serves now. */
  readonly handlers: () => Events;
  readonly bindings: Pick<LiveBindings, "acquire">;
  readonly createEnv: (own: Readonly<Record<string, unknown>>, scope: AiScope) => Env;
  readonly invoker: Pick<EventInvoker, "invokeEvent">;
  /** Told of each event whose handler failed, or is not there. */
  readonly failed: (event: "scheduled" | "queue", cause: unknown) => void;
}

/** What happens to one Worker without a request. */
export interface WorkerEvents {
  /** Hands a batch to the handler `queue`; rejects where that fails, or there is none. */
  deliver(batch: MessageBatch): Promise<void>;
  /** The same for the handler `scheduled`. */
  scheduled(event: CronEvent): Promise<void>;
  /** From now on these expressions fire. */
  change(crons: readonly string[]): void;
  start(): void;
  /** No event begins any more. */
  stop(): void;
}

export function createWorkerEvents(options: WorkerEventsOptions): WorkerEvents {
  const { handlers, bindings, createEnv, invoker, failed } = options;
  let isStopped = false;

  async function handle(event: keyof Events, handler: EventInvocation["handle"] | undefined): Promise<void> {
    try {
      if (isStopped) throw new AppError("draining");
      if (handler === undefined) throw new Error(`No file has a handler \`${event}\`.`);
      const { bindings: own, release } = await bindings.acquire();
      const bound = (scope: AiScope): Env => createEnv(own, scope);
      await invoker.invokeEvent({ id: crypto.randomUUID(), createEnv: bound, handle: handler }).finally(release);
    } catch (error) {
      failed(event, error);
      throw error;
    }
  }
  const scheduled = (event: CronEvent): Promise<void> => {
    const { scheduled: handler } = handlers();
    const controller = { ...event, noRetry() {} };
    return handle("scheduled", handler && ((env, context) => handler(controller, env, context)));
  };
  // Whoever could wait for it has been told of it.
  const crons = createCronRunner((event) => void scheduled(event).catch(() => {}));
  return {
    deliver(batch) {
      const { queue } = handlers();
      return handle("queue", queue && ((env, context) => queue(batch, env, context)));
    },
    scheduled,
    change: (patterns) => crons.change(patterns),
    start: () => crons.start(),
    stop() {
      isStopped = true;
      crons.stop();
    },
  };
}
