import { embedMany } from "ai";
import { createWorkersAI } from "workers-ai-provider";
import type { Handler } from "../../../functions/_types.ts";

type Binding = Parameters<typeof createWorkersAI>[0]["binding"];

/** The Vercel AI SDK over `env.AI`. */
const handler: Handler = {
  async fetch(request, env) {
    const { model, texts } = (await request.json()) as { model: string; texts: string[] };
    const workersAi = createWorkersAI({ binding: env.AI as unknown as NonNullable<Binding> });
    try {
      const { embeddings } = await embedMany({ model: workersAi.textEmbedding(model), values: texts, maxRetries: 0 });
      return Response.json(embeddings);
    } catch (error) {
      const { name, message } = error as Error;
      return Response.json({ name, message }, { status: 500 });
    }
  },
};

export default handler;
