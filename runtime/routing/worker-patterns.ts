import { domainToUnicode } from "node:url";

/** The route patterns of one Worker, as in `routes` of wrangler.toml. */
export interface WorkerPatterns {
  readonly name: string;
  /** `shop.example.com/*`, `*.example.com/api/*`, `https://example.com/x`. */
  readonly patterns: readonly string[];
}

/** A pattern that cannot be: with a query, a star in the middle, or no URL at all. */
export class WorkerPatternError extends Error {
  readonly code: "ERR_QUERY_STRING" | "ERR_INFIX_WILDCARD" | "ERR_URL";

  constructor(code: WorkerPatternError["code"], message: string) {
    super(message);
    this.name = "WorkerPatternError";
    this.code = code;
  }
}

interface ParsedPattern {
  readonly worker: string;
  readonly text: string;
  readonly specificity: number;
  /** Undefined: any. */
  readonly protocol: string | undefined;
  readonly host: Edge;
  readonly path: Edge;
}

/** A text that has to be equal, or that stands at the edge of what a star leaves open. */
interface Edge {
  readonly text: string;
  readonly isOpen: boolean;
}

export interface WorkerMatcher {
  /** The Worker that a URL belongs to; undefined where no pattern fits. */
  match(url: URL): string | undefined;
  /** The names of hosts that stand in the patterns whole. */
  readonly hostnames: readonly string[];
}

/**
 * Of the patterns that fit a URL the most specific one wins, as in Miniflare: more labels of the host, then more segments of the path, a star counting
 * less than a name; of equals the longer one. The path is compared with its query, so `example.com/x` does not fit `/x?q=1`
 * (https://developers.cloudflare.com/workers/configuration/routing/routes/#matching-behavior). Throws WorkerPatternError.
 */
export function createWorkerMatcher(workers: readonly WorkerPatterns[]): WorkerMatcher {
  const parsed = workers.flatMap(({ name, patterns }) => patterns.map((pattern) => parsePattern(name, pattern)));
  parsed.sort((a, b) => b.specificity - a.specificity || b.text.length - a.text.length);
  return {
    match: (url) => parsed.find((pattern) => fits(pattern, url))?.worker,
    hostnames: parsed.flatMap(({ host }) => (host.isOpen ? [] : host.text)),
  };
}

function fits({ protocol, host, path }: ParsedPattern, url: URL): boolean {
  if (protocol !== undefined && protocol !== url.protocol) return false;
  const { hostname } = url;
  if (host.isOpen ? !hostname.endsWith(host.text) : hostname !== host.text) return false;
  const target = url.pathname + url.search;
  return path.isOpen ? target.startsWith(path.text) : target === path.text;
}

function parsePattern(worker: string, text: string): ParsedPattern {
  const hasProtocol = /^[a-z0-9+\-.]+:\/\//i.test(text);
  const address = hasProtocol ? text : `https://${text}`;
  if (!URL.canParse(address)) throw patternError("ERR_URL", worker, text);
  const url = new URL(address);
  const specificity = specificityOf(url);
  const isAnyHost = url.hostname === "*";
  // The setters of URL bring what a star leaves over into its normal form.
  const isOpenHost = takeStarOfHost(url);
  const isOpenPath = url.pathname.endsWith("*");
  if (isOpenPath) url.pathname = url.pathname.slice(0, -1);
  if (url.search !== "") throw patternError("ERR_QUERY_STRING", worker, text);
  // With the host `*` Miniflare takes a star in the path as a letter.
  if (!isAnyHost && url.href.includes("*")) throw patternError("ERR_INFIX_WILDCARD", worker, text);
  return {
    worker,
    text,
    specificity,
    protocol: hasProtocol ? url.protocol : undefined,
    host: { text: isAnyHost ? "" : url.hostname, isOpen: isOpenHost },
    path: { text: url.pathname, isOpen: isOpenPath },
  };
}

function takeStarOfHost(url: URL): boolean {
  // A star before a name outside ASCII is part of what IDNA encodes.
  const isEncoded = url.hostname.startsWith("xn--*");
  if (!isEncoded && !url.hostname.startsWith("*")) return false;
  const hostname = isEncoded ? domainToUnicode(url.hostname) : url.hostname;
  if (hostname !== "*") url.hostname = hostname.slice(1);
  return true;
}

/** A label of the host outweighs all segments of a path (up to 25). */
function specificityOf({ host, pathname }: URL): number {
  const labels = host.split(".");
  const segments = pathname.split("/");
  const hostScore = labels.length - (labels[0] === "*" ? 2 : 0);
  const pathScore = segments.length - (segments.at(-1) === "*" ? 2 : 0);
  return hostScore * 26 + pathScore;
}

const complaints: Readonly<Record<WorkerPatternError["code"], string>> = {
  ERR_QUERY_STRING: "contains a query string, which routes cannot",
  ERR_INFIX_WILDCARD: "contains a * that is neither the first letter of the host nor the last of the path",
  ERR_URL: "is no URL",
};

function patternError(code: WorkerPatternError["code"], worker: string, text: string): WorkerPatternError {
  return new WorkerPatternError(code, `The route "${text}" of "${worker}" ${complaints[code]}.`);
}
