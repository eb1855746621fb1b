import type { AnswerFailure } from "./_types.ts";

export const inCohere: AnswerFailure = ({ status, message, headers }) =>
  Response.json({ id: crypto.randomUUID(), message }, { status, headers });
