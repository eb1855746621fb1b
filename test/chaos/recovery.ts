import type { BatchRequest, WorkerPool } from "../../runtime/pool/worker-pool.ts";

export interface RecoveryWatch {
  /** The same pool, observed. */
  readonly pool: WorkerPool;
  /** A fault hits these processes now. */
  noteFault(pids: readonly number[], hasSpare: boolean): void;
  /** From each fault to the second start of each text that it hit, where a spare stood by. */
  readonly withSpareMs: readonly number[];
}

/** Tells how long the texts of a lost batch wait for their second start. */
export function watchRecovery(pool: WorkerPool): RecoveryWatch {
  const running = new Map<string, Set<BatchRequest>>();
  /** Text → when it was hit. */
  const hit = new Map<string, number>();
  const withSpareMs: number[] = [];
  const idOf = (pid: number): string => pool.status().workers.find((worker) => worker.pid === pid)?.id ?? "";
  return {
    withSpareMs,
    noteFault(pids, hasSpare) {
      if (!hasSpare) return;
      for (const pid of pids) {
        for (const { texts } of running.get(idOf(pid)) ?? []) {
          for (const text of texts) hit.set(text, performance.now());
        }
      }
    },
    pool: {
      start: (listener) => pool.start(listener),
      discard: (workerId) => pool.discard(workerId),
      stop: (graceMs) => pool.stop(graceMs),
      status: () => pool.status(),
      async run(workerId, request) {
        for (const text of request.texts) {
          const atMs = hit.get(text);
          if (atMs !== undefined) withSpareMs.push(performance.now() - atMs);
          hit.delete(text);
        }
        const open = running.get(workerId) ?? new Set();
        running.set(workerId, open);
        open.add(request);
        try {
          const result = await pool.run(workerId, request);
          // Answered before the fault came through.
          for (const text of request.texts) hit.delete(text);
          return result;
        } finally {
          open.delete(request);
        }
      },
    },
  };
}
