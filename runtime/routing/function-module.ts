import type { Handler } from "../../functions/_types.ts";

const METHOD_EXPORT = /^(?:onRequest\w*|GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS)$/;

/** The handler that a file of functions/ exports; throws with what to write where there is none. */
export function readHandler(module: Readonly<Record<string, unknown>>): Handler {
  const handler = module["default"];
  if (typeof handler === "object" && handler !== null && "fetch" in handler && typeof handler.fetch === "function") {
    return handler as Handler;
  }
  const method = Object.keys(module).find((name) => METHOD_EXPORT.test(name));
  const wanted = "write `export default { fetch(request, env, context) { … } }`";
  if (method !== undefined) throw new TypeError(`it exports ${method}, which is not supported: ${wanted}`);
  throw new TypeError(`it has no default export with a \`fetch\` method: ${wanted}`);
}

/** The methods that it answers; undefined where it says nothing of them. */
export function readMethods(module: Readonly<Record<string, unknown>>): readonly string[] | undefined {
  const methods: unknown = module["methods"];
  if (methods === undefined) return undefined;
  if (Array.isArray(methods) && methods.length > 0 && methods.every((method) => /^[A-Z]+$/.test(String(method)))) {
    return methods.map(String);
  }
  throw new TypeError('`methods` must be a list such as ["GET", "POST"]');
}
