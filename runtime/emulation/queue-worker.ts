/** What the Worker in workerd is bound to, beside what the user declares. No function sees these. */
export const HOST_BINDING = "EMBEDGE_HOST";
export const BATCHES_BINDING = "EMBEDGE_BATCHES";
export const BATCHES_ENTRYPOINT = "EmbedgeBatches";

/** What is called on a batch or on one of its messages, in the order of the calls. */
export interface BatchCall {
  readonly method: "ack" | "retry" | "ackAll" | "retryAll";
  /** Of the message. */
  readonly id?: string;
  readonly options?: unknown;
}

/** What the host answers to a batch. */
export interface BatchOutcome {
  readonly isHandled: boolean;
  readonly calls: readonly BatchCall[];
}

/**
 * The Worker that stands for the functions in workerd: it hands batches of queues to the host, and does to the genuine batch what the
 * handler there has done to its copy, so that all rules of queues stay workerd's and Miniflare's own.
 *
 * The host fetches the messages itself: that way bodies of every type arrive as they were sent.
 */
export const QUEUE_WORKER: string = `
import { WorkerEntrypoint } from "cloudflare:workers";

const batches = new Map();

export class ${BATCHES_ENTRYPOINT} extends WorkerEntrypoint {
  messages(key) {
    return batches.get(key).map(({ id, timestamp, attempts, body }) => ({ id, timestamp, attempts, body }));
  }
}

export default {
  fetch: () => new Response(null, { status: 404 }),
  async queue(batch, env) {
    const key = crypto.randomUUID();
    batches.set(key, batch.messages);
    try {
      const body = JSON.stringify({ key, queue: batch.queue });
      const response = await env.${HOST_BINDING}.fetch("http://embedge/batch", { method: "POST", body });
      const { isHandled, calls } = await response.json();
      for (const { method, id, options } of calls) {
        const target = id === undefined ? batch : batch.messages.find((message) => message.id === id);
        target[method](options);
      }
      if (!isHandled) throw new Error("The handler of the queue failed; see above.");
    } finally {
      batches.delete(key);
    }
  },
};
`;
