import { expect } from "vitest";
import { InferenceClient } from "@huggingface/inference";
import { OpenAIEmbeddings } from "@langchain/openai";
import { OpenAIEmbedding } from "@llamaindex/openai";
import Cloudflare from "cloudflare";
import { CohereClientV2 } from "cohere-ai";
import { Ollama } from "ollama";
import OpenAI from "openai";
import { VoyageAIClient } from "voyageai";

type Vectors = readonly (readonly number[])[];

/** One package as its users call it, pointed at a host. */
export interface Client {
  /** Rejects as the package does. */
  embed(model: string, texts: string[]): Promise<Vectors>;
  /** What its users get for the model `no-such-model`; where a request names none, for no text. */
  readonly failure: object;
}

const apiKey = "unused";

/** The packages for JavaScript that speak HTTP, by name. */
export function javascriptClients(url: string, maxRetries = 0): Readonly<Record<string, Client>> {
  const ollama = new Ollama({ host: url });
  const cohere = new CohereClientV2({ token: apiKey, environment: url, maxRetries });
  const voyage = new VoyageAIClient({ apiKey, environment: `${url}/v1`, maxRetries });
  const cloudflare = new Cloudflare({ apiToken: apiKey, baseURL: `${url}/client/v4`, maxRetries });
  const huggingFace = new InferenceClient("hf_unused", { endpointUrl: `${url}/embed` });
  const openAi = new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries });
  const notFound = { message: expect.stringContaining("no model") };
  return {
    openai: {
      embed: async (model, input) =>
        (await openAi.embeddings.create({ model, input })).data.map(({ embedding }) => embedding),
      failure: { status: 404, code: "model_not_found", ...notFound },
    },
    "@langchain/openai": {
      embed: (model, texts) =>
        new OpenAIEmbeddings({ model, apiKey, configuration: { baseURL: `${url}/v1` }, maxRetries }).embedDocuments(
          texts,
        ),
      failure: { status: 404, ...notFound },
    },
    "@llamaindex/openai": {
      embed: (model, texts) =>
        new OpenAIEmbedding({ model, apiKey, baseURL: `${url}/v1`, maxRetries }).getTextEmbeddings(texts),
      failure: { status: 404, ...notFound },
    },
    voyageai: {
      embed: async (model, input) =>
        ((await voyage.embed({ model, input, inputType: "document" })).data ?? []).map(
          ({ embedding }) => embedding ?? [],
        ),
      failure: { statusCode: 404 },
    },
    "cohere-ai": {
      embed: async (model, texts) => {
        const answer = await cohere.embed({ model, texts, inputType: "search_document", embeddingTypes: ["float"] });
        return answer.embeddings.float ?? [];
      },
      failure: { statusCode: 404, body: notFound },
    },
    ollama: {
      embed: async (model, input) => (await ollama.embed({ model, input })).embeddings,
      failure: { status_code: 404, error: expect.stringContaining("not found") },
    },
    cloudflare: {
      embed: async (model, text) => {
        const answer = await cloudflare.ai.run(model, { account_id: "0123", text });
        return (answer as unknown as { data: number[][] }).data;
      },
      failure: { status: 404, errors: [{ code: 5007, ...notFound }] },
    },
    "@huggingface/inference": {
      embed: async (_, inputs) => (await huggingFace.featureExtraction({ inputs })) as number[][],
      failure: { message: expect.stringContaining("no text") },
    },
  };
}
