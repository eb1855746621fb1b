import type { MessageBatch } from "../../functions/_types.ts";

/** Bindings that live outside of this process. */
export interface LocalBindings {
  /** Those that can be used now. The first call starts what they live in; waits while it is started, again too. */
  get(): Promise<Readonly<Record<string, unknown>>>;
  /** Resolves when nothing of them is left. */
  close(): Promise<void>;
}

/** What a Worker declares of them. */
export interface LocalDeclared {
  readonly configFile: string;
  /** What was read there: another text asks for other bindings. */
  readonly text: string;
  /** `[env.NAME]` of it. */
  readonly environment: string | undefined;
  /** The names of its bindings. */
  readonly names: readonly string[];
}

export type OpenLocalBindings = (
  declared: LocalDeclared,
  deliver: (batch: MessageBatch) => Promise<void>,
) => LocalBindings;
