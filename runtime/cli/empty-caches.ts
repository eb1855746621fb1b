/** What a Worker may ask of a cache. */
interface WorkerCache {
  match(): Promise<undefined>;
  put(): Promise<void>;
  delete(): Promise<boolean>;
}

const cache: WorkerCache = {
  match: async () => undefined,
  put: async () => {},
  delete: async () => false,
};

/** Gives functions the global `caches` of Workers, in which nothing stays, as in `getPlatformProxy`. For a process of our own. */
export function provideCaches(): void {
  if ("caches" in globalThis) return;
  Object.defineProperty(globalThis, "caches", {
    value: { default: cache, open: async () => cache },
    configurable: true,
  });
}
