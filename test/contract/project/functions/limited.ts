import type { FunctionLimits, Handler } from "../../../../functions/_types.ts";

export const limits: FunctionLimits = { timeoutMs: 300, bodyBytesMax: 10 };

/** GET never ends, POST answers at once. */
const handler: Handler = {
  fetch: async (request) => (request.method === "GET" ? new Promise(() => {}) : new Response(await request.text())),
};
export default handler;
