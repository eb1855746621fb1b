import type { Dispatcher } from "../embedder/dispatcher.ts";
import type { ModelPoolListener } from "../pool/model-pool.ts";
import { spreadPermits } from "../pool/seats.ts";

/** The permits of the pool, shared out to the workers of each model anew whenever their number changes. */
export interface PermitShares extends ModelPoolListener {
  /** The pool gives a worker no batches (0), or gives it some again: it leaves its share to another, or takes one. */
  permitsChanged(workerId: string, permits: number): void;
  /** So many in the whole pool from now on; batches over it end first, and nothing that waits is lost. */
  change(permits: number): void;
}

export interface PermitSharesOptions {
  readonly permits: number;
  /** Workers of one model that take batches; what stands by has no share. */
  readonly workers: number;
  readonly dispatcher: ModelPoolListener & Pick<Dispatcher, "permitsChanged">;
}

/** A worker that is ready. */
interface Holder {
  readonly model: string;
  /** Which share of its model's it has, from 0; undefined where it gets no batches. */
  share: number | undefined;
}

/**
 * Stands between the pool and the dispatcher. A worker that takes the place of another gets its share.
 *
 * The workers of each model have all permits among them, since it may be the only one with work; that all models together run
 * no more is the scheduler's `flightsMax`.
 */
export function createPermitShares({ permits, workers, dispatcher }: PermitSharesOptions): PermitShares {
  let shares = spreadPermits(permits, workers);
  const holders = new Map<string, Holder>();

  const permitsOf = ({ share }: Holder): number => (share === undefined ? 0 : (shares[share] ?? 0));
  const freeShare = (model: string): number | undefined => {
    const taken = [...holders.values()].filter((holder) => holder.model === model).map(({ share }) => share);
    return [...shares.keys()].find((share) => !taken.includes(share));
  };
  const leave = (model: string): void => {
    for (const [workerId, holder] of holders) if (holder.model === model) holders.delete(workerId);
  };
  return {
    workerReady(worker) {
      const { model } = worker.model;
      const holder = { model, share: freeShare(model) };
      holders.set(worker.id, holder);
      dispatcher.workerReady({ ...worker, permits: permitsOf(holder) });
    },
    workerLost(workerId, cause) {
      holders.delete(workerId);
      dispatcher.workerLost(workerId, cause);
    },
    modelUnloaded(model) {
      leave(model);
      dispatcher.modelUnloaded(model);
    },
    modelFailed(model, problem) {
      leave(model);
      dispatcher.modelFailed(model, problem);
    },
    permitsChanged(workerId, given) {
      const holder = holders.get(workerId);
      if (holder === undefined) return;
      holder.share = given === 0 ? undefined : (holder.share ?? freeShare(holder.model));
      dispatcher.permitsChanged(workerId, permitsOf(holder));
    },
    change(next) {
      shares = spreadPermits(next, workers);
      for (const [workerId, holder] of holders) dispatcher.permitsChanged(workerId, permitsOf(holder));
    },
  };
}
