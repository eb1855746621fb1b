import type { AnswerFailure } from "../../functions/_types.ts";
import { AppError } from "../errors.ts";
import { failureResponse } from "./error-response.ts";

/** Sent where a function lists no methods of its own. TRACE is not among them: `Request` cannot even express it. */
export const ANY_METHOD: readonly string[] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/** Undefined where the method is answered; else the answer to OPTIONS, or 405, both with `Allow`. */
export function refuseMethod(
  method: string,
  methods: readonly string[],
  answerFailure?: AnswerFailure,
): Response | undefined {
  const isHead = method === "HEAD" && methods.includes("GET");
  if (isHead || methods.includes(method)) return undefined;
  const allow = [...methods, ...(methods.includes("GET") ? ["HEAD"] : []), "OPTIONS"].join(", ");
  if (method === "OPTIONS") return new Response(null, { status: 204, headers: { allow } });
  const response = failureResponse(new AppError("method_not_allowed"), answerFailure);
  response.headers.set("allow", allow);
  return response;
}
