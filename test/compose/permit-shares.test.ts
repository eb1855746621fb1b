import { expect, test } from "vitest";
import { createPermitShares, type PermitShares } from "../../runtime/compose/permit-shares.ts";
import { fakeModelInfo } from "../doubles/fake-answer.ts";

interface Given {
  readonly shares: PermitShares;
  /** The permits of each worker that is ready, as the dispatcher knows them. */
  readonly permits: Map<string, number>;
  ready(model: string, ...ids: readonly string[]): void;
}

/** Shares of two workers for each model. */
function given(permitsInAll: number): Given {
  const permits = new Map<string, number>();
  const shares = createPermitShares({
    permits: permitsInAll,
    workers: 2,
    dispatcher: {
      workerReady: (worker) => void permits.set(worker.id, worker.permits),
      workerLost: (workerId) => void permits.delete(workerId),
      modelUnloaded(model) {
        for (const workerId of permits.keys()) if (workerId.startsWith(model)) permits.delete(workerId);
      },
      modelFailed() {},
      permitsChanged: (workerId, number) => void permits.set(workerId, number),
    },
  });
  const ready: Given["ready"] = (model, ...ids) => {
    for (const id of ids) shares.workerReady({ id, permits: 99, model: fakeModelInfo({ model }) });
  };
  return { shares, permits, ready };
}

test("the workers of each model have all permits among them", () => {
  const { shares, permits, ready } = given(5);
  ready("a", "a1", "a2");
  ready("b", "b1", "b2");
  expect(Object.fromEntries(permits)).toEqual({ a1: 3, a2: 2, b1: 3, b2: 2 });
  shares.change(2);
  expect(Object.fromEntries(permits)).toEqual({ a1: 1, a2: 1, b1: 1, b2: 1 });
});

test("a model that is loaded again, after a change, has shares of the new number", () => {
  const { shares, permits, ready } = given(2);
  ready("b", "b1", "b2");
  shares.modelUnloaded("b");
  shares.change(6);
  ready("b", "b3", "b4");
  expect(Object.fromEntries(permits)).toEqual({ b3: 3, b4: 3 });
});

test("a spare that takes the seat of a lost worker gets its share as it is by then", () => {
  const { shares, permits, ready } = given(5);
  ready("a", "a1", "a2");
  shares.change(3);
  shares.workerLost("a1", "died");
  ready("a", "spare");
  expect(Object.fromEntries(permits)).toEqual({ a2: 1, spare: 2 });
});

test("a worker that gets no batches leaves its share, and takes one when it gets some again", () => {
  const { shares, permits, ready } = given(5);
  ready("a", "a1", "a2");
  shares.permitsChanged("a1", 0);
  shares.change(4);
  expect(Object.fromEntries(permits)).toEqual({ a1: 0, a2: 2 });
  shares.permitsChanged("a1", 1);
  expect(Object.fromEntries(permits)).toEqual({ a1: 2, a2: 2 });
  shares.permitsChanged("a2", 0);
  ready("a", "successor");
  expect(Object.fromEntries(permits)).toEqual({ a1: 2, a2: 0, successor: 2 });
});
