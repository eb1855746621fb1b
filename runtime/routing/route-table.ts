import type { AnswerFailure, FunctionLimits, FunctionModule, Handler } from "../../functions/_types.ts";
import type { AppError } from "../errors.ts";

/** One file of functions/. */
export interface Route {
  /** Its path as a URL, with the names of the file still in it: `/api/[id]`, `/files/[[path]]`. */
  readonly pattern: string;
  /** Where it comes from, for messages. */
  readonly file: string;
  /** Undefined: every method is the function's own business. */
  readonly methods: readonly string[] | undefined;
  /** Those that it sets itself. */
  readonly limits: FunctionLimits;
  /** The handler, or why there is none: the route then answers with this failure. */
  readonly handler: Handler | AppError;
  /** How the route's dialect says a failure; undefined: in OpenAI's envelope. */
  readonly answerFailure?: AnswerFailure | undefined;
  /** Schemas of the request's body and of the answer, for documents alone. */
  readonly body?: FunctionModule["body"] | undefined;
  readonly answer?: FunctionModule["answer"] | undefined;
}

export interface RouteMatch {
  readonly route: Route;
  readonly params: Readonly<Record<string, string | readonly string[]>>;
}

export interface RouteTable {
  /** The most specific route first: a fixed segment before `[id]` before `[[path]]`, from the left. */
  readonly routes: readonly Route[];
  /**
   * The route for a URL's path, or undefined.
   *
   * There is one form of each path: no slash at the end, none doubled, fixed segments not percent-encoded. Parameters are
   * decoded, so `%2F` gives one with a slash; what is no UTF-8, a control character or a step upwards matches nothing.
   */
  match(pathname: string): RouteMatch | undefined;
}

/** Two files that answer the same paths. */
export class RouteConflictError extends Error {
  readonly files: readonly [string, string];

  constructor(first: Route, second: Route) {
    super(`${first.file} and ${second.file} answer the same paths; keep one of them`);
    this.name = "RouteConflictError";
    this.files = [first.file, second.file];
  }
}

/** Throws RouteConflictError where two routes could not be told apart. */
export function createRouteTable(routes: readonly Route[]): RouteTable {
  const shapes = new Map<string, Route>();
  const parsed = routes.map((route) => {
    const segments = parsePattern(route.pattern);
    const shape = segments.map((segment) => (segment.kind === "fixed" ? segment.text : segment.kind)).join("/");
    const other = shapes.get(shape);
    if (other !== undefined) throw new RouteConflictError(other, route);
    shapes.set(shape, route);
    return { route, segments };
  });
  parsed.sort((a, b) => compareSegments(a.segments, b.segments));
  const fixed = new Map<string, RouteMatch>();
  for (const { route, segments } of parsed) {
    if (segments.every((segment) => segment.kind === "fixed")) fixed.set(route.pattern, { route, params: {} });
  }
  const open = parsed.filter(({ route }) => !fixed.has(route.pattern));
  return {
    routes: parsed.map(({ route }) => route),
    match(pathname) {
      const found = fixed.get(pathname);
      if (found !== undefined) return found;
      const parts = splitPath(pathname);
      if (parts.includes("")) return undefined;
      for (const { route, segments } of open) {
        const params = matchSegments(segments, parts);
        if (params !== undefined) return { route, params };
      }
      return undefined;
    },
  };
}

interface Segment {
  readonly kind: "fixed" | "one" | "rest";
  /** The fixed text, or the parameter's name. */
  readonly text: string;
}

function parsePattern(pattern: string): readonly Segment[] {
  return splitPath(pattern).map((text) => {
    const rest = /^\[\[(.+)\]\]$/.exec(text)?.[1];
    if (rest !== undefined) return { kind: "rest", text: rest };
    const one = /^\[(.+)\]$/.exec(text)?.[1];
    return one === undefined ? { kind: "fixed", text } : { kind: "one", text: one };
  });
}

function splitPath(pathname: string): readonly string[] {
  return pathname === "/" ? [] : pathname.slice(1).split("/");
}

const kindOrder = { fixed: 0, one: 1, rest: 2 };

function compareSegments(a: readonly Segment[], b: readonly Segment[]): number {
  for (const [index, segment] of a.entries()) {
    const other = b[index];
    // `/files/[[path]]` answers `/files` too, unless a file of that name does.
    if (other === undefined) return 1;
    const order = kindOrder[segment.kind] - kindOrder[other.kind];
    if (order !== 0) return order;
  }
  return a.length - b.length;
}

function matchSegments(segments: readonly Segment[], parts: readonly string[]): RouteMatch["params"] | undefined {
  const params = new Map<string, string | readonly string[]>();
  for (const [index, { kind, text }] of segments.entries()) {
    if (kind === "rest") {
      const rest = parts.slice(index).map(decodePart);
      return rest.includes(undefined) ? undefined : Object.fromEntries(params.set(text, rest as string[]));
    }
    const part = parts[index];
    if (part === undefined) return undefined;
    if (kind === "fixed") {
      if (part !== text) return undefined;
      continue;
    }
    const decoded = decodePart(part);
    if (decoded === undefined) return undefined;
    params.set(text, decoded);
  }
  return parts.length === segments.length ? Object.fromEntries(params) : undefined;
}

/** Control characters, and `.` or `..` between slashes of either kind. */
// oxlint-disable-next-line no-control-regex -- they are what it looks for
const UNSAFE = /[\u0000-\u001f\u007f]|(?:^|[/\\])\.\.?(?:[/\\]|$)/;

function decodePart(part: string): string | undefined {
  try {
    const decoded = decodeURIComponent(part);
    return UNSAFE.test(decoded) ? undefined : decoded;
  } catch {
    return undefined;
  }
}
