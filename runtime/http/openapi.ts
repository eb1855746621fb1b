import { z } from "zod";
import type { Route } from "../routing/route-table.ts";

export interface OpenApiOptions {
  readonly version: string;
  /** Those that list no methods are left out: nobody knows what they answer. */
  readonly routes: readonly Route[];
}

type JsonObject = Readonly<Record<string, unknown>>;

/** What can be asked of this host, as OpenAPI 3.1. */
export function openApiDocument({ version, routes }: OpenApiOptions): JsonObject {
  const paths = routes.flatMap(({ methods, ...route }) =>
    methods === undefined ? [] : [[pathOf(route.pattern), pathItem(methods, route)] as const],
  );
  return {
    openapi: "3.1.1",
    info: { title: "embedge", version, description: "Text embeddings in the dialects that clients speak." },
    // Relative to where this document is: a host may be mounted below a prefix.
    servers: [{ url: "." }],
    paths: { ...Object.fromEntries(paths), ...operations },
  };
}

/** `/models/[id]` and `/models/[[id]]` → `/models/{id}`. */
function pathOf(pattern: string): string {
  return pattern.replaceAll(/\[{1,2}([\w-]+)\]{1,2}/g, "{$1}");
}

function pathItem(methods: readonly string[], { pattern, body, answer }: Omit<Route, "methods">): JsonObject {
  const parameters = Array.from(pathOf(pattern).matchAll(/\{([\w-]+)\}/g), ([, name]) => ({
    name,
    in: "path",
    required: true,
    schema: { type: "string", minLength: 1 },
  }));
  const operationOf = (method: string): JsonObject => ({
    operationId: `${method.toLowerCase()}${pattern.replaceAll(/[^a-zA-Z0-9]+/g, "_").replace(/_$/, "")}`,
    ...(method !== "GET" &&
      body !== undefined && { requestBody: { required: true, content: jsonOf(toJsonSchema(body, "input")) } }),
    responses: {
      "200": {
        description: "What was asked for.",
        ...(answer !== undefined && { content: jsonOf(toJsonSchema(answer, "output")) }),
      },
      default: failure,
    },
  });
  return {
    ...(parameters.length > 0 && { parameters }),
    ...Object.fromEntries(methods.map((method) => [method.toLowerCase(), operationOf(method)])),
  };
}

/** Anything where the schema cannot be written down, as one with code of its own. */
function toJsonSchema(schema: z.ZodType, io: "input" | "output"): JsonObject {
  try {
    const { $schema: _dialect, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: "any" });
    return rest;
  } catch {
    return {};
  }
}

function jsonOf(schema: JsonObject): JsonObject {
  return { "application/json": { schema } };
}

const failure: JsonObject = {
  description: "A failure in the words of the route's dialect: docs/errors.md, docs/clients.md.",
  content: jsonOf({ type: "object" }),
};

function operation(operationId: string, description: string, contentType: string): JsonObject {
  const responses = { "200": { description, content: { [contentType]: {} } }, default: failure };
  return { get: { operationId, responses } };
}

const operations: JsonObject = {
  "/healthz": operation("healthz", "The process answers.", "application/json"),
  "/readyz": operation("readyz", "A worker can serve.", "application/json"),
  "/metrics": operation("metrics", "Numbers for Prometheus.", "text/plain"),
  "/openapi.json": operation("openapi", "This document.", "application/json"),
};
