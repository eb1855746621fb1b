import type { MessageBatch, RetryOptions } from "../../functions/_types.ts";
import type { BatchCall } from "./queue-worker.ts";

/** A message as workerd tells of it. */
export interface SentMessage {
  readonly id: string;
  readonly timestamp: Date;
  readonly attempts: number;
  readonly body: unknown;
}

/** A batch whose calls are noted in `calls`, to be repeated on the genuine one. */
export function createMessageBatch(queue: string, sent: readonly SentMessage[], calls: BatchCall[]): MessageBatch {
  return {
    queue,
    messages: sent.map((message) => ({
      ...message,
      ack: () => void calls.push({ method: "ack", id: message.id }),
      retry: (options?: RetryOptions) => void calls.push({ method: "retry", id: message.id, options }),
    })),
    ackAll: () => void calls.push({ method: "ackAll" }),
    retryAll: (options?: RetryOptions) => void calls.push({ method: "retryAll", options }),
  };
}
