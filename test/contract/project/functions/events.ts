import type { EventHandler } from "../../../../functions/_types.ts";
import type { Bound } from "./_bindings.ts";

/** Writes into KV what happened. A key that begins with "dead" is sent back until the queue gives it up. */
const handler: EventHandler<Bound> = {
  async scheduled({ cron, scheduledTime }, env) {
    if (cron === "throws") throw new Error("thrown");
    await env.KV.put(`cron ${cron}`, String(scheduledTime));
  },
  async queue(batch, env) {
    for (const message of batch.messages) {
      const key = String((message.body as ReadonlyMap<string, string>).get("key"));
      const isAgain = batch.queue === "contract-jobs" && key.startsWith("dead");
      if (isAgain) message.retry();
      else await env.KV.put(key, JSON.stringify([batch.queue, message.attempts, message.timestamp instanceof Date]));
    }
  },
};
export default handler;
