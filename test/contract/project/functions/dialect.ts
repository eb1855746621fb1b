import type { AnswerFailure, Handler } from "../../../../functions/_types.ts";
import * as cohere from "../../../../functions/v2/embed.ts";

export const methods: readonly string[] = cohere.methods;

export const answerFailure: AnswerFailure = cohere.answerFailure;

/** A dialect that asks for the model's prompts, and has words of its own for failures. */
const handler: Handler = cohere.default;

export default handler;
