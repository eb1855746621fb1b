import type { Handler } from "../../../../functions/_types.ts";

/** Tells what it sees of its address. */
const handler: Handler = {
  fetch(request, _env, { params }) {
    const { pathname, search } = new URL(request.url);
    return Response.json({ path: pathname, query: search, params });
  },
};

export default handler;
