import type { Handler } from "../../../../../functions/_types.ts";

export const methods: readonly string[] = ["GET", "DELETE"];

const handler: Handler = {
  fetch: (_request, _env, { params }) => Response.json(params, { headers: { "x-thing": "1" } }),
};
export default handler;
