import type { AnswerFailure } from "./_types.ts";

/**
 * The error of text-embeddings-inference, whose clients show it where it is a text.
 *
 * What is over soon is 429 here in place of 503: Hugging Face's client for JavaScript repeats a 503 at once and without end.
 */
export const inTei: AnswerFailure = ({ status, message, headers }) => {
  const isBusy = status === 429 || status === 503;
  const type = isBusy ? "Overloaded" : status < 500 ? "Validation" : "Backend";
  return Response.json({ error: message, error_type: type }, { status: isBusy ? 429 : status, headers });
};
