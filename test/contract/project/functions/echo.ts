import type { Handler } from "../../../../functions/_types.ts";

/** What of the request a function sees, whatever stands between it and the client. */
const handler: Handler = {
  async fetch(request) {
    const { pathname, search } = new URL(request.url);
    const { method, headers } = request;
    const seen = Object.fromEntries(["content-type", "cookie", "x-custom"].map((name) => [name, headers.get(name)]));
    return Response.json({ method, pathname, search, headers: seen, body: await request.text() });
  },
};
export default handler;
