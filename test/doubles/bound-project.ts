import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";

/** One of each binding, a queue and a cron. */
export const BOUND_CONFIG: Readonly<Record<string, unknown>> & { readonly kv_namespaces: readonly object[] } = {
  name: "bound",
  main: ".embedge/worker.ts",
  compatibility_date: "2026-07-01",
  ai: { binding: "AI" },
  kv_namespaces: [{ binding: "KV", id: "kv" }],
  d1_databases: [{ binding: "DB", database_name: "db", database_id: "db" }],
  r2_buckets: [{ binding: "BUCKET", bucket_name: "bucket" }],
  queues: {
    producers: [{ binding: "JOBS", queue: "jobs" }],
    consumers: [{ queue: "jobs", max_batch_size: 10, max_batch_timeout: 0, max_retries: 2 }],
  },
  triggers: { crons: ["* * * * *"] },
  vars: { GREETING: "hello" },
};

const BOUND = `export default {
  async fetch(request, env) {
    const wait = Number(new URL(request.url).search.slice(1));
    const at = await env.KV.get("key");
    await env.KV.put("key", "value");
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
    await env.DB.exec("CREATE TABLE IF NOT EXISTS t (x)");
    await env.DB.prepare("INSERT INTO t VALUES (?)").bind(7).run();
    await env.BUCKET.put("object", "text");
    const object = await env.BUCKET.get("object");
    return Response.json({
      at, row: await env.DB.prepare("SELECT x FROM t").first("x"), object: await object.text(),
      greeting: env.GREETING, secret: env.SECRET, ai: (await env.AI.run(env.EMBEDDING_MODEL, { text: "x" })).shape,
      more: env.MORE && await env.MORE.get("none"), cached: (await caches.default.match(request)) ?? null, names: Object.keys(env).toSorted().join(),
    });
  },
};
`;
/** Handlers that print what they got. */
export const eventsOf = (version: number): string => `import { env as ambient } from "cloudflare:workers";
export default {
  async scheduled({ cron, scheduledTime }, env, context) {
    console.log(\`v${version} fired \${cron} \${scheduledTime} \${ambient.AI === env.AI}\`);
    context.waitUntil(env.KV.put("fired", cron));
  },
  async queue(batch, env) {
    for (const { body, attempts, ...message } of batch.messages) {
      console.log(\`v${version} got \${JSON.stringify(body)} \${attempts}\`);
      if (body === "throw" && attempts === 1) throw new Error("the handler threw");
      if (body === "retry" && attempts < 3) message.retry();
      if (body === "ack") message.ack();
    }
  },
};
`;
const SEND = `export default {
  async fetch(request, env) {
    await env.JOBS.sendBatch((await request.json()).map((body) => ({ body })));
    return new Response(null, { status: 204 });
  },
};
`;

/** A project on disk. */
export interface BoundProject {
  readonly folder: string;
  readonly write: (name: string, text: string) => void;
  /** Writes wrangler.jsonc: the usual one, with more. */
  readonly configure: (more: object) => void;
}

/** Projects with bindings, in a folder of their own. */
export interface BoundProjects {
  readonly parent: string;
  make(name: string): BoundProject;
  remove(): void;
}

export function makeBoundProjects(): BoundProjects {
  const parent = mkdtempSync(path.join(os.tmpdir(), "embedge-bound-"));
  return {
    parent,
    make: (name) => makeProject(path.join(parent, name)),
    remove: () => rmSync(parent, { recursive: true }),
  };
}

function makeProject(folder: string): BoundProject {
  mkdirSync(path.join(folder, "functions"), { recursive: true });
  const write = (file: string, text: string): void => writeFileSync(path.join(folder, file), text);
  const configure = (more: object): void =>
    write("wrangler.jsonc", `// with a comment\n${JSON.stringify({ ...BOUND_CONFIG, ...more })}`);
  configure({});
  write(".dev.vars", 'SECRET="from # .dev.vars"\n');
  write("functions/bound.mjs", BOUND);
  write("functions/events.mjs", eventsOf(1));
  write("functions/send.mjs", SEND);
  return { folder, write, configure };
}
