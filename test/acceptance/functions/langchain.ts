import { CloudflareWorkersAIEmbeddings } from "@langchain/cloudflare";
import type { Handler } from "../../../functions/_types.ts";

type Binding = ConstructorParameters<typeof CloudflareWorkersAIEmbeddings>[0]["binding"];

/** LangChain over `env.AI`. */
const handler: Handler = {
  async fetch(request, env) {
    const { model, texts } = (await request.json()) as { model: string; texts: string[] };
    try {
      const client = new CloudflareWorkersAIEmbeddings({ binding: env.AI as Binding, model, maxRetries: 0 });
      return Response.json(await client.embedDocuments(texts));
    } catch (error) {
      const { name, message } = error as Error;
      return Response.json({ name, message }, { status: 500 });
    }
  },
};

export default handler;
