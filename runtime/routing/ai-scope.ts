import type { EmbedResult } from "../embedder/embedder.ts";
import type { Caller } from "./caller.ts";

/** What `env.AI` inherits from the run of a handler that it was made for. */
export interface AiScope {
  /** Of the invocation: what the log has it under. */
  readonly id: string;
  /** On the host's Clock, for a call that is made now. */
  deadlineAtMs(): number;
  readonly signal: AbortSignal;
  readonly caller?: Caller | undefined;
  /** Told of each call that gave vectors. */
  embedded(result: EmbedResult): void;
}
