import type { Handler } from "../../../../functions/_types.ts";

/** Answers that are easily changed on their way, by the name in the query. */
const answers: Readonly<Record<string, () => Response>> = {
  no_content: () => new Response(null, { status: 204 }),
  not_modified: () => new Response(null, { status: 304, headers: { etag: '"1"' } }),
  teapot: () => new Response("short and stout", { status: 418 }),
  redirect: () => Response.redirect("https://example.com/elsewhere", 302),
  empty: () => new Response(""),
  cookies() {
    const headers = new Headers();
    headers.append("set-cookie", "a=1; Path=/");
    headers.append("set-cookie", "b=2; Expires=Wed, 01 Jan 2031 00:00:00 GMT");
    return new Response("two", { headers });
  },
  own_id: () => new Response("id", { headers: { "x-request-id": "mine" } }),
};

const handler: Handler = {
  fetch: (request) => answers[new URL(request.url).search.slice(1)]?.() ?? new Response("?", { status: 400 }),
};
export default handler;
