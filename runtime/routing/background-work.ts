import type { Clock } from "../clock.ts";

export interface BackgroundOptions {
  readonly clock: Clock;
  /** How long work may go on that was handed to `waitUntil`. */
  readonly waitUntilMs: number;
  /** Told of work that failed, or that was given up as it did not end. */
  readonly failed: (invocationId: string, cause: unknown) => void;
}

/** What the `waitUntil` of all invocations keeps alive. */
export interface BackgroundWork {
  /** The `waitUntil` of one invocation; `isOver` says whether its handler has returned. */
  createWaitUntil(invocationId: string, isOver: () => boolean): (work: Promise<unknown>) => void;
  pending(): number;
  /** Resolves when nothing is left; each piece ends or is given up in `waitUntilMs`. */
  idle(): Promise<void>;
}

export function createBackgroundWork({ clock, waitUntilMs, failed }: BackgroundOptions): BackgroundWork {
  let pending = 0;
  let waiting: (() => void)[] = [];

  const ended = (): void => {
    pending--;
    if (pending > 0) return;
    for (const resolve of waiting) resolve();
    waiting = [];
  };
  return {
    createWaitUntil(invocationId, isOver) {
      let own = 0;
      return (work) => {
        if (isOver() && own === 0) throw new Error("waitUntil was called after its invocation had ended.");
        own++;
        pending++;
        let isOpen = true;
        const settle = (cause?: { readonly failure: unknown }): void => {
          if (!isOpen) return;
          isOpen = false;
          timer.clear();
          own--;
          if (cause !== undefined) failed(invocationId, cause.failure);
          ended();
        };
        const timer = clock.setTimer(clock.nowMs() + waitUntilMs, () => {
          settle({ failure: new Error(`waitUntil: the work did not end in ${waitUntilMs} ms.`) });
        });
        Promise.resolve(work).then(
          () => settle(),
          (failure: unknown) => settle({ failure }),
        );
      };
    },
    pending: () => pending,
    idle: () => (pending === 0 ? Promise.resolve() : new Promise((resolve) => waiting.push(resolve))),
  };
}
