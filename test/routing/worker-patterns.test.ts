import * as fc from "fast-check";
import { matchRoutes, parseRoutes } from "miniflare";
import { describe, expect, test } from "vitest";
import { createWorkerMatcher, type WorkerPatterns } from "../../runtime/routing/worker-patterns.ts";

function match(patterns: Readonly<Record<string, readonly string[]>>, url: string): string | undefined {
  const workers = Object.entries(patterns).map(([name, list]) => ({ name, patterns: list }));
  return createWorkerMatcher(workers).match(new URL(url));
}

describe("the route of a Worker", () => {
  test.each<[pattern: string, url: string, fits: boolean]>([
    ["example.com/*", "https://example.com/x?q=1", true],
    ["example.com/*", "http://example.com/", true],
    ["https://example.com/*", "http://example.com/", false],
    ["*.example.com/*", "https://example.com/", false],
    ["*.example.com/*", "https://a.b.example.com/", true],
    ["*example.com/*", "https://myexample.com/", true],
    ["example.com/api*", "https://example.com/apix", true],
    ["example.com/x", "https://example.com/x", true],
    ["example.com", "https://example.com/", true],
    ["*/api/v1/embed", "http://anything/api/v1/embed", true],
    ["*/api/v1/embed", "http://anything/api/v1/embed?q=1", false],
    ["*ünï.example/*", "https://shop.ünï.example/", true],
  ])("%s and %s: %s", (pattern, url, fits) => {
    expect(match({ worker: [pattern] }, url)).toBe(fits ? "worker" : undefined);
  });

  test("that is most specific wins, wherever it is listed", () => {
    const routes = { all: ["*/*"], site: ["example.com/*"], api: ["example.com/api/*"] };
    expect(match(routes, "https://other.example/")).toBe("all");
    expect(match(routes, "https://example.com/x")).toBe("site");
    expect(match(routes, "https://example.com/api/x")).toBe("api");
  });

  test.each([
    ["example.com/?a=1", "ERR_QUERY_STRING"],
    ["example.com/a*b", "ERR_INFIX_WILDCARD"],
    ["a.*.example.com/", "ERR_INFIX_WILDCARD"],
    ["exa mple.com/*", "ERR_URL"],
  ])("%s is refused: %s", (pattern, code) => {
    expect(() => match({ worker: [pattern] }, "https://x/")).toThrow(expect.objectContaining({ code }) as Error);
  });
});

const label = fc.constantFrom("a", "b", "www", "example", "com", "ünï", "*", "x*");
const hostname = fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join("."));
const segment = fc.constantFrom("", "a", "b", "api", "v1", "a%20b", "*", "a*", "..", "é");
const pathname = fc.array(segment, { maxLength: 4 }).map((segments) => `/${segments.join("/")}`);
const scheme = fc.constantFrom("", "", "http://", "https://", "HTTPS://");
const port = fc.constantFrom("", "", "", ":8080");
const query = fc.constantFrom("", "", "", "?q=1", "?*");
const starHost = fc.oneof(
  hostname,
  hostname.map((host) => `*.${host}`),
  hostname.map((host) => `*${host}`),
  fc.constant("*"),
);
const pattern = fc
  .tuple(scheme, starHost, port, fc.oneof(fc.constant(""), pathname), fc.constantFrom("", "*", "/*"), query)
  .map((parts) => parts.join(""));
const url = fc
  .tuple(fc.constantFrom("http://", "https://"), hostname, port, pathname, query)
  .map((parts) => parts.join("").replaceAll("*", "s"))
  .filter((text) => URL.canParse(text))
  .map((text) => new URL(text));
/** A pattern made from a URL, so that it is valid and may fit: some end of its host and some beginning of its path. */
function patternFor({ hostname: host, pathname: path, protocol }: URL): fc.Arbitrary<string> {
  const labels = host.split(".");
  const end = fc.nat(labels.length).map((cut) => (cut === 0 ? host : ["*", ...labels.slice(cut)].join(".")));
  const beginning = fc.nat(path.length).map((cut) => `${path.slice(0, Math.max(1, cut))}*`);
  return fc
    .tuple(fc.constantFrom("", "", `${protocol}//`), end, fc.oneof(fc.constant(path), beginning))
    .map((parts) => parts.join(""));
}

/** Some Workers with some patterns each, and the URL that is asked for. */
const cases = fc.tuple(url, url).chain(([asked, other]) => {
  const likely = fc.oneof(patternFor(asked), patternFor(asked), patternFor(other));
  const listOf = (item: fc.Arbitrary<string>): fc.Arbitrary<string[]> => fc.array(item, { minLength: 1, maxLength: 2 });
  const set = fc.oneof(
    fc.array(listOf(pattern), { minLength: 1, maxLength: 2 }),
    fc.array(listOf(likely), { minLength: 1, maxLength: 5 }),
  );
  return set.map((lists) => ({
    asked,
    workers: lists.map((patterns, index): WorkerPatterns => ({ name: `worker ${index}`, patterns })),
  }));
});

/** What it gives, or the code it throws; a URL that is none has other words in each. */
function outcome(run: () => string | null | undefined): string {
  try {
    return run() ?? "none";
  } catch (error) {
    const { code } = error as { code: string };
    return code === "ERR_INVALID_URL" ? "ERR_URL" : code;
  }
}

test("is chosen as Miniflare chooses, over 20,000 random sets of patterns and URLs", () => {
  const seen = new Map<string, number>();
  fc.assert(
    fc.property(cases, ({ workers, asked }) => {
      const routes = new Map(workers.map(({ name, patterns }) => [name, [...patterns]]));
      const theirs = outcome(() => matchRoutes(parseRoutes(routes), asked));
      const ours = outcome(() => createWorkerMatcher(workers).match(asked));
      const kind = theirs.startsWith("worker") ? "matched" : theirs;
      seen.set(kind, (seen.get(kind) ?? 0) + 1);
      expect(ours).toBe(theirs);
    }),
    { numRuns: 20_000 },
  );
  // Neither side of the comparison is empty.
  for (const kind of ["matched", "none", "ERR_INFIX_WILDCARD", "ERR_QUERY_STRING"]) {
    expect({ kind, isCompared: (seen.get(kind) ?? 0) > 500 }).toEqual({ kind, isCompared: true });
  }
});
