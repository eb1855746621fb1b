import type { DispatchCall, Dispatcher } from "../../runtime/embedder/dispatcher.ts";
import type { Clock } from "../../runtime/clock.ts";
import { FAKE_MODEL } from "./fake-answer.ts";

/** Submits a call of 10 tokens a text, with half a minute to run. */
export function submitTo(
  { dispatcher, clock }: { readonly dispatcher: Dispatcher; readonly clock: Clock },
  texts: readonly string[],
  changes: Partial<DispatchCall> = {},
): ReturnType<Dispatcher["submit"]> {
  return dispatcher.submit({
    model: FAKE_MODEL,
    pooling: "default",
    normalize: true,
    texts,
    inputTokens: texts.map(() => 10),
    deadlineAtMs: clock.nowMs() + 30_000,
    signal: new AbortController().signal,
    ...changes,
  });
}
