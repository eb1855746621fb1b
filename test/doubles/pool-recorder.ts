import { spawnSync } from "node:child_process";

import { systemClock, type Clock } from "../../runtime/clock.ts";
import type { PoolEvent } from "../../runtime/pool/pool-events.ts";
import type { PoolListener, ReadyWorker } from "../../runtime/pool/worker-pool.ts";
import { until } from "./wait.ts";

/** Keeps what a pool tells its listener, in order. */
export interface PoolRecorder extends PoolListener {
  readonly ready: readonly ReadyWorker[];
  readonly lost: readonly { readonly workerId: string; readonly cause: string }[];
  /** What was told of permits after `workerReady`. */
  readonly permits: readonly { readonly workerId: string; readonly permits: number }[];
  /** The workers that are ready and not lost. */
  live(): readonly ReadyWorker[];
  /** Waits until so many are. */
  untilLive(count: number): Promise<readonly ReadyWorker[]>;
}

export function createPoolRecorder(): PoolRecorder {
  const ready: ReadyWorker[] = [];
  const lost: { workerId: string; cause: string }[] = [];
  const permits: { readonly workerId: string; readonly permits: number }[] = [];
  const live = (): readonly ReadyWorker[] =>
    ready.filter((worker) => lost.every(({ workerId }) => workerId !== worker.id));
  return {
    ready,
    lost,
    permits,
    live,
    untilLive: (count) => until(`${count} workers are ready`, () => live().length === count && live(), 30_000),
    workerReady: (worker) => void ready.push(worker),
    workerLost: (workerId, cause) => void lost.push({ workerId, cause }),
    permitsChanged: (workerId, count) => void permits.push({ workerId, permits: count }),
  };
}

/** The events of one type, in order. */
export function eventsOf<T extends PoolEvent["type"]>(
  events: readonly PoolEvent[],
  type: T,
): readonly Extract<PoolEvent, { type: T }>[] {
  return events.filter((event): event is Extract<PoolEvent, { type: T }> => event.type === type);
}

/** The system's clock; `expectNoTimer` throws while a timer is set that has neither fired nor been cleared. */
export function createCountingClock(): Clock & { expectNoTimer(): void } {
  const timers = new Set<object>();
  return {
    expectNoTimer() {
      if (timers.size > 0) throw new Error(`timers left: ${timers.size}`);
    },
    nowMs: systemClock.nowMs,
    setTimer(atMs, fire) {
      const key = {};
      timers.add(key);
      const timer = systemClock.setTimer(atMs, () => {
        timers.delete(key);
        fire();
      });
      return {
        clear() {
          timers.delete(key);
          timer.clear();
        },
      };
    },
  };
}

/** Whether this process runs: a zombie, which only waits to be reaped, does not. */
export function isRunning(pid: number): boolean {
  return /^[^ZX]/.test(processState(pid));
}

/** What `ps` says of it ("T": stopped by a signal); empty when it is not there. */
export function processState(pid: number): string {
  return ps(pid, "stat");
}

export function commandLineOf(pid: number): string {
  return ps(pid, "args");
}

function ps(pid: number, column: string): string {
  return spawnSync("ps", ["-ww", "-o", `${column}=`, "-p", String(pid)], { encoding: "utf8" }).stdout.trim();
}
