import type { Handler } from "../../../../../functions/_types.ts";

const handler: Handler = { fetch: (_request, _env, { params }) => Response.json(params) };
export default handler;
