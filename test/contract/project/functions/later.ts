import type { Handler } from "../../../../functions/_types.ts";

let done = 0;

/** POST: hands work to `waitUntil`, some of which fails. GET: how much of it is done. */
const handler: Handler = {
  fetch(request, _env, { waitUntil }) {
    if (request.method === "GET") return Response.json({ done });
    waitUntil(
      new Promise<void>((resolve) => {
        setTimeout(() => {
          done++;
          resolve();
        }, 20);
      }),
    );
    waitUntil(Promise.reject(new Error("nobody hears of it")));
    return new Response("accepted", { status: 202 });
  },
};
export default handler;
