import type { PoolEvent } from "./pool-events.ts";
import type { Replica } from "./replica.ts";

export interface RecyclerOptions {
  /** The places of the pool; a successor takes over its place here. */
  readonly replicas: Replica[];
  readonly makeReplica: (place: number) => Replica;
  /** Gets no more batches; those that it has run to their end. */
  readonly onRetire: (workerId: string) => void;
  readonly log: (event: PoolEvent) => void;
}

/** Replaces workers one at a time, the successor first, so that the pool never has one less and never loses a batch. */
export interface Recycler {
  /** Starts a successor for this place, unless one is on its way somewhere. */
  replace(place: number, reason: string): void;
  /** To be told of each replica that is ready. */
  becameReady(replica: Replica): void;
  /** Replicas that have no place: not yet, or no more. */
  others(): readonly Replica[];
  stop(): void;
}

interface Replacement {
  readonly place: number;
  readonly reason: string;
  readonly successor: Replica;
  /** Set from when the successor has taken over until the old one is gone. */
  retired: Replica | undefined;
}

export function createRecycler({ replicas, makeReplica, onRetire, log }: RecyclerOptions): Recycler {
  let replacement: Replacement | undefined;
  let isStopped = false;

  return {
    replace(place, reason) {
      const old = replicas[place];
      if (isStopped || replacement !== undefined || old === undefined) return;
      log({ type: "worker_recycling", workerId: old.workerId, message: reason });
      const successor = makeReplica(place);
      replacement = { place, reason, successor, retired: undefined };
      successor.start();
    },
    becameReady(replica) {
      if (replacement === undefined || replacement.successor !== replica || replacement.retired !== undefined) return;
      const { place, reason } = replacement;
      const old = replicas[place];
      replicas[place] = replica;
      if (old === undefined) return;
      replacement.retired = old;
      onRetire(old.workerId);
      old.stop({ reason: "recycled", message: `${reason}; another has taken its place` });
      void old.stopped.then(() => (replacement = undefined));
    },
    others() {
      if (replacement === undefined) return [];
      return [replacement.retired ?? replacement.successor];
    },
    stop() {
      isStopped = true;
    },
  };
}
