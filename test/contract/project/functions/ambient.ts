import { env as ambient, waitUntil } from "cloudflare:workers";
import type { Handler } from "../../../../functions/_types.ts";
import type { Bound } from "./_bindings.ts";

const early = ambient as Bound;
const { KV, AI } = early;
const atTheTop = { greeting: early.GREETING, has: "KV" in early, isRefused: await isRefused() };

async function isRefused(): Promise<boolean> {
  try {
    await KV.get("x");
    return false;
  } catch {
    return true;
  }
}

/** What `cloudflare:workers` gives, at the top of a module and in a request. */
const handler: Handler<Bound> = {
  async fetch(request, env) {
    const key = new URL(request.url).searchParams.get("key") ?? "";
    waitUntil(env.KV.put(key, "later"));
    await KV.put(`${key} now`, "now");
    const [{ shape }, now] = await Promise.all([
      AI.run("@cf/baai/bge-base-en-v1.5", { text: "x" }),
      early.KV.get(`${key} now`),
    ]);
    return Response.json({ atTheTop, shape, now, greeting: early.GREETING });
  },
};
export default handler;
