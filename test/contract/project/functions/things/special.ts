import type { Handler } from "../../../../../functions/_types.ts";

const handler: Handler = { fetch: () => new Response("special") };
export default handler;
