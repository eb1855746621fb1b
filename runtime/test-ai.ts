import { loadConfig } from "./config/load.ts";
import { createHost } from "./create-host.ts";
import { needsSetUp, setUpWorkers } from "./set-up.ts";

/** The host serves `env.AI` alone: the code under test runs in workerd. */
const NOTHING = { name: "none", script: "export default { fetch: () => new Response(null, { status: 404 }) };" };

export interface TestAi {
  readonly url: string;
  readonly end: () => Promise<void>;
}

/** A host behind `env.AI` of tests that run in workerd, with the settings of a folder; resolves when a worker can serve. */
export async function serveTestAi(folder: string): Promise<TestAi> {
  const { config } = loadConfig({ args: [], env: { EMBEDGE_LOG_LEVEL: "warn", ...process.env }, cwd: folder });
  // The first time on a machine takes a minute, which people shall see.
  if (needsSetUp(config)) await setUpWorkers(process.stderr, new AbortController().signal);
  const host = await createHost(config, { workers: [NOTHING] });
  try {
    const { url } = await host.listenUpstream();
    await host.ready();
    return { url, end: () => host.close() };
  } catch (error) {
    await host.close();
    throw error;
  }
}
