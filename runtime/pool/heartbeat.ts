import type { Clock } from "../clock.ts";

export interface HeartbeatOptions {
  readonly clock: Clock;
  /** Whether the worker has nothing to do; while it has, its batches tell whether it lives. */
  readonly isIdle: () => boolean;
  readonly ping: (id: number) => void;
  /** An idle worker has not answered for 2 s, or has answered again. */
  readonly onSilent: (isSilent: boolean) => void;
  /** It has not answered for 10 s. */
  readonly onDead: () => void;
}

export interface Heartbeat {
  pong(id: number): void;
  stop(): void;
}

const BEAT_MS = 1_000;
const SILENT_BEATS = 2;
const DEAD_BEATS = 10;

/**
 * Asks an idle worker every second whether it lives, so that one which is stopped is found before a batch finds it.
 *
 * Beats are counted and not time: after a sleep of the machine, or a stall of the host, one late beat is one beat.
 */
export function createHeartbeat({ clock, isIdle, ping, onSilent, onDead }: HeartbeatOptions): Heartbeat {
  let asked = 0;
  let beatsUnanswered: number | undefined;
  let isSilent = false;
  let isStopped = false;
  let timer = clock.setTimer(clock.nowMs() + BEAT_MS, beat);

  /** Only after what has arrived was read: an answer that lies there unread is one. */
  function armAfterReading(): void {
    setImmediate(() => {
      if (!isStopped) timer = clock.setTimer(clock.nowMs() + BEAT_MS, beat);
    });
  }

  function beat(): void {
    armAfterReading();
    if (!isIdle()) beatsUnanswered = undefined;
    else if (beatsUnanswered === undefined) {
      beatsUnanswered = 0;
      ping(++asked);
    } else {
      beatsUnanswered++;
      if (beatsUnanswered === SILENT_BEATS) tell(true);
      if (beatsUnanswered === DEAD_BEATS) onDead();
    }
  }

  function tell(now: boolean): void {
    if (isSilent === now) return;
    isSilent = now;
    onSilent(now);
  }

  return {
    pong(id) {
      if (id !== asked) return;
      beatsUnanswered = undefined;
      tell(false);
    },
    stop() {
      isStopped = true;
      timer.clear();
    },
  };
}
