import type { Handler } from "embedge";

const MODEL = "@cf/baai/bge-base-en-v1.5";

/** POST {"texts": ["a cat", "a kitten"]}: how alike the two texts are, from -1 to 1. */
const handler: Handler = {
  async fetch(request, env) {
    const { texts } = (await request.json()) as { texts: string[] };
    const { data } = await env.AI.run(MODEL, { text: texts });
    const [a = [], b = []] = data;
    return Response.json({ similarity: a.reduce((sum, value, at) => sum + value * (b[at] ?? 0), 0) });
  },
};
export default handler;
