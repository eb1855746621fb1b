import { z } from "zod";
import { answerJson } from "./_rows.ts";
import type { AiEmbedding, AnswerFailure } from "./_types.ts";

/** Cloudflare's numbers for what may happen here: developers.cloudflare.com/workers-ai/platform/errors. */
const numbers: Readonly<Record<string, number>> = {
  model_not_found: 5007,
  poison_input: 5004,
  input_too_long: 3006,
  too_many_inputs: 3006,
  body_too_large: 3006,
  deadline_exceeded: 3007,
  queue_full: 3040,
  tenant_queue_full: 3040,
  starting: 3040,
  draining: 3040,
  no_worker: 3040,
};
const INVALID_INPUT = 5006;
const INTERNAL = 3043;

/** The envelope of Cloudflare's REST API. */
export const inWorkersAi: AnswerFailure = ({ status, code, message, headers }) => {
  const number = numbers[code] ?? (status < 500 ? INVALID_INPUT : INTERNAL);
  const body = { result: null, success: false, errors: [{ code: number, message }], messages: [] };
  return Response.json(body, { status, headers });
};

/** A result in that envelope. */
export function resultOf(result: z.ZodType): z.ZodType {
  const nothing = z.array(z.unknown()).max(0);
  return z.object({ result, success: z.literal(true), errors: nothing, messages: nothing });
}

/** What a run gave, in that envelope; on embedge its rows are text already. */
export function toRunResult(run: AiEmbedding): Response {
  if (run.encode === undefined) return toResult(run);
  // The numbers are left alone: reading `data` would make them.
  const facts = JSON.stringify(
    run,
    Object.keys(run).filter((key) => key !== "data"),
  );
  const result = `${facts.slice(0, -1)},"data":[${run.encode("json").join(",")}]}`;
  return answerJson(`{"result":${result},"success":true,"errors":[],"messages":[]}`);
}

export function toResult(result: unknown): Response {
  return Response.json({ result, success: true, errors: [], messages: [] });
}
