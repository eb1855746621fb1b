import type { z } from "zod";
import { findMisspelling } from "./_fields.ts";
import type { AnswerFailure } from "./_types.ts";

/** What a client is told when its request cannot be served as it is. */
export interface Refusal {
  readonly status: 400 | 404 | 415;
  readonly code: string;
  readonly message: string;
  /** The field that is to blame, as a path: `texts[3]`. */
  readonly param?: string | undefined;
}

/** How embedge itself says a failure: in OpenAI's envelope. */
export const inOwnWords: AnswerFailure = ({ status, code, message, type, param, headers }) =>
  Response.json({ error: { message, type, param: param ?? null, code } }, { status, headers });

/** The refusal in the words of a dialect. The code in a header tells the host's log and metrics what the body tells the client. */
export function refuse({ status, code, message, param }: Refusal, answer: AnswerFailure = inOwnWords): Response {
  const headers = { "x-should-retry": "false", "x-embedge-code": code };
  return answer({ status, code, message, type: "invalid_request_error", param, headers });
}

/**
 * The JSON body in the shape of `schema`, or the refusal to return to the client.
 *
 * Unknown fields are dropped, but for one that is most likely misspelt. `application/x-www-form-urlencoded` passes since `curl -d` sends it; cross-site forms are
 * stopped by their Origin header before they come here.
 */
export async function readBody<T>(
  request: Request,
  schema: z.ZodType<T>,
  answer: AnswerFailure = inOwnWords,
): Promise<T | Response> {
  if (!mayHoldJson(request.headers.get("content-type"))) {
    const message = "The body must be JSON in UTF-8: send content-type: application/json.";
    return refuse({ status: 415, code: "unsupported_media_type", message }, answer);
  }
  const json = parseJson(await request.arrayBuffer());
  if ("fault" in json) return refuse({ status: 400, code: "invalid_json", message: json.fault }, answer);
  const misspelling = findMisspelling(json.value, schema);
  if (misspelling !== undefined) {
    const { field, meant } = misspelling;
    const message = `There is no field \`${field}\`; the nearest is \`${meant}\`.`;
    return refuse({ status: 400, code: "invalid_request", message, param: field }, answer);
  }
  const result = schema.safeParse(json.value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const code = issue?.code === "custom" ? String(issue.params?.["code"]) : "invalid_request";
  const message = issue?.message ?? "The body has the wrong shape.";
  return refuse({ status: 400, code, message, param: toParam(issue?.path ?? []) }, answer);
}

/** `["texts", 3]` → `texts[3]`. */
function toParam(path: readonly PropertyKey[]): string | undefined {
  const param = path.map((key) => (typeof key === "number" ? `[${key}]` : `.${String(key)}`)).join("");
  return param === "" ? undefined : param.replace(/^\./, "");
}

const JSON_TYPES: readonly string[] = ["application/json", "application/x-www-form-urlencoded"];

function mayHoldJson(contentType: string | null): boolean {
  if (contentType === null) return true;
  const [type = "", ...parameters] = contentType
    .toLowerCase()
    .split(";")
    .map((part) => part.trim());
  if (!JSON_TYPES.includes(type)) return false;
  return parameters.every((parameter) => !parameter.startsWith("charset=") || /^charset="?utf-?8"?$/.test(parameter));
}

function parseJson(bytes: ArrayBuffer): { readonly value: unknown } | { readonly fault: string } {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return { fault: "The body is not UTF-8." };
  }
  if (text === "") return { fault: "The body is empty; it must be JSON." };
  try {
    return { value: JSON.parse(text) };
  } catch (error) {
    const at = faultAt(text, error);
    const where = at === undefined ? "" : ` at byte ${new TextEncoder().encode(text.slice(0, at)).byteLength}`;
    return { fault: `The body is not valid JSON${where}.` };
  }
}

/** Longest body that is parsed again to find its fault: some 5 ms. */
const FAULT_SEARCH_MAX = 2 ** 16;

/**
 * The index of the first character that cannot be JSON, where it can be told.
 *
 * V8's own message quotes the text, so it must not be passed on; it gives the position for all faults but an unexpected token.
 * That one is found by halving: a prefix fails in the same way only if it holds the token.
 */
function faultAt(text: string, error: unknown): number | undefined {
  const message = String(error);
  const position = / at position (\d+)/.exec(message)?.[1];
  if (position !== undefined) return Number(position);
  if (message.includes("Unexpected end")) return text.length;
  if (text.length > FAULT_SEARCH_MAX) return undefined;
  let valid = 0;
  let faulty = text.length;
  while (faulty - valid > 1) {
    const middle = (valid + faulty) >> 1;
    if (hasUnexpectedToken(text.slice(0, middle))) faulty = middle;
    else valid = middle;
  }
  return valid;
}

function hasUnexpectedToken(prefix: string): boolean {
  try {
    JSON.parse(prefix);
    return false;
  } catch (error) {
    return String(error).includes("Unexpected token");
  }
}
