import type { Handler } from "../../../../functions/_types.ts";
import type { Bound } from "./_bindings.ts";

/** GET: what KV holds under a key. PUT: puts it there. POST: sends it to the queue, as a value that only v8 can hold. */
const handler: Handler<Bound> = {
  async fetch(request, env) {
    const key = new URL(request.url).searchParams.get("key") ?? "";
    if (request.method === "GET") return Response.json(await env.KV.get(key));
    if (request.method === "PUT") await env.KV.put(key, await request.text());
    else await env.JOBS.send(new Map([["key", key]]), { contentType: "v8" });
    return new Response("done");
  },
};
export default handler;
