import { setTimeout as delay } from "node:timers/promises";

const POLL_MS = 5;

/** Waits until `probe` gives something else than undefined or false, and returns it; fails under `label` after `limitMs`. */
export async function until<T>(
  label: string,
  probe: () => T | undefined | false | Promise<T | undefined | false>,
  limitMs = 10_000,
): Promise<T> {
  const endAtMs = performance.now() + limitMs;
  for (;;) {
    const found = await probe();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > endAtMs) throw new Error(`after ${limitMs} ms still waiting until ${label}`);
    await delay(POLL_MS);
  }
}

/** The promise, or a failure under `label` after `limitMs`. */
export async function withTimeout<T>(promise: Promise<T>, label: string, limitMs = 10_000): Promise<T> {
  const timer = Promise.withResolvers<never>();
  const handle = setTimeout(() => timer.reject(new Error(`after ${limitMs} ms still waiting for ${label}`)), limitMs);
  try {
    return await Promise.race([promise, timer.promise]);
  } finally {
    clearTimeout(handle);
  }
}
