import { z } from "zod";
import { inOllama } from "../_ollama.ts";
import type { AnswerFailure, Handler } from "../_types.ts";

export const methods: readonly string[] = ["GET"];

export const answer: z.ZodType = z.object({ version: z.string() });

export const answerFailure: AnswerFailure = inOllama;

/** The Ollama whose requests these routes understand; its tools refuse to work with an older one. */
const VERSION = "0.12.0";

const handler: Handler = {
  async fetch() {
    return Response.json({ version: VERSION });
  },
};

export default handler;
