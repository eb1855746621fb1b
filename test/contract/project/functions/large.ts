import type { Handler } from "../../../../functions/_types.ts";

/** GET: so many bytes as `bytes` says. POST: how many came, and their SHA-256. */
const handler: Handler = {
  async fetch(request) {
    if (request.method === "GET") {
      const bytes = new Uint8Array(Number(new URL(request.url).searchParams.get("bytes"))).fill(97);
      return new Response(bytes, { headers: { "content-type": "application/octet-stream" } });
    }
    const body = await request.arrayBuffer();
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", body));
    const sha256 = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
    return Response.json({ bytes: body.byteLength, sha256 });
  },
};
export default handler;
