import { describe, expect, test } from "vitest";
import { makeKey } from "../../runtime/config/keys-file.ts";
import { AppError } from "../../runtime/errors.ts";
import { identify } from "../../runtime/http/caller-check.ts";
import { type ApiKey, createKeyring } from "../../runtime/http/keyring.ts";
import { createMemoryApp, errorOf, routeTo } from "../doubles/memory-app.ts";
import { createVirtualClock } from "../doubles/virtual-clock.ts";

const alice = makeKey("alice");
const bob = makeKey("bob");
const clock = createVirtualClock();

function keyringOf(...keys: readonly ApiKey[]): ReturnType<typeof createKeyring> {
  return createKeyring(keys, clock);
}

function errorFrom(run: () => unknown): AppError | undefined {
  try {
    run();
    return undefined;
  } catch (error) {
    return error instanceof AppError ? error : undefined;
  }
}

describe("a request with a key", () => {
  const keys = keyringOf(alice.entry, bob.entry);

  test.each([
    ["authorization", `Bearer ${bob.key}`],
    ["authorization", `bearer  ${bob.key} `],
    ["x-api-key", bob.key],
  ])("is known by %s", (name, value) => {
    expect(keys.identify(new Headers({ [name]: value })).tenant).toBe("bob");
  });

  test.each([
    [{}],
    [{ authorization: "" }],
    [{ authorization: bob.key }],
    [{ authorization: `Basic ${bob.key}` }],
    [{ authorization: `Bearer ${bob.key}x` }],
    [{ authorization: `Bearer ${bob.key.slice(0, -1)}` }],
    [{ authorization: `Bearer ${bob.entry.sha256}` }],
    [{ "x-api-key": "x".repeat(10_000) }],
  ])("is refused where it is none of ours: %j (S11)", (headers) => {
    const error = errorFrom(() => keys.identify(new Headers(headers)));
    expect(error?.code).toBe("invalid_api_key");
    expect(error?.message).not.toContain(bob.key);
  });
});

describe("who asks", () => {
  const keys = keyringOf({ ...alice.entry, priority: "bulk" }, bob.entry);
  const byAlice = { "x-api-key": alice.key };
  const byBob = { "x-api-key": bob.key };

  test.each([
    [byBob, { tenant: "bob", priority: undefined }],
    [
      { ...byBob, "x-embedge-priority": "bulk" },
      { tenant: "bob", priority: "bulk" },
    ],
    [byAlice, { tenant: "alice", priority: "bulk" }],
    [
      { ...byAlice, "x-embedge-priority": "interactive" },
      { tenant: "alice", priority: "bulk" },
    ],
    [{ ...byBob, "x-tenant": "of-the-proxy" }, { tenant: "of-the-proxy" }],
    [{ ...byBob, "x-other": "nobody" }, { tenant: "bob" }],
  ])("by %j", (headers, caller) => {
    expect(identify(new Headers(headers), { keys, tenantHeader: "x-tenant" })).toMatchObject(caller);
  });

  test("cannot be told by a header that nobody trusts", () => {
    const headers = new Headers({ ...byBob, "x-tenant": "alice" });
    expect(identify(headers, { keys, tenantHeader: undefined }).tenant).toBe("bob");
  });
});

describe("what a key may do", () => {
  test("ends with its requests a minute, evenly, and the refusal says when the next one may come", () => {
    const keys = keyringOf({ ...alice.entry, requestsPerMinute: 60 });
    const headers = new Headers({ "x-api-key": alice.key });
    for (let request = 0; request < 60; request++) keys.identify(headers);
    expect(errorFrom(() => keys.identify(headers))).toMatchObject({ code: "rate_limited", retryAfterMs: 1_000 });
    clock.advance(999);
    expect(errorFrom(() => keys.identify(headers))?.code).toBe("rate_limited");
    clock.advance(1);
    keys.identify(headers);
    expect(errorFrom(() => keys.identify(headers))?.code).toBe("rate_limited");
  });

  test("ends with its texts at one time, whichever request holds them", () => {
    const { allowance } = keyringOf({ ...alice.entry, inputsMax: 10 }).identify(
      new Headers({ "x-api-key": alice.key }),
    );
    const first = allowance?.take(6);
    expect(errorFrom(() => allowance?.take(5))?.code).toBe("tenant_queue_full");
    first?.();
    first?.();
    allowance?.take(10);
    expect(errorFrom(() => allowance?.take(1))?.code).toBe("tenant_queue_full");
  });

  test("is not won back by reading the keys again", () => {
    const limited = { ...alice.entry, inputsMax: 1, requestsPerMinute: 1 };
    const keys = keyringOf(limited);
    const headers = new Headers({ "x-api-key": alice.key });
    keys.identify(headers).allowance?.take(1);
    keys.replace([bob.entry, { ...limited, requestsPerMinute: 2 }]);
    expect(errorFrom(() => keys.identify(headers).allowance?.take(1))?.code).toBe("tenant_queue_full");
    expect(errorFrom(() => keys.identify(headers))?.code).toBe("rate_limited");
  });

  test("ends when it is taken away", () => {
    const keys = keyringOf(alice.entry, bob.entry);
    keys.replace([bob.entry]);
    expect(errorFrom(() => keys.identify(new Headers({ "x-api-key": alice.key })))?.code).toBe("invalid_api_key");
  });
});

describe("an app with keys", () => {
  const keys = keyringOf(alice.entry);
  const echo = routeTo("/x", (request) => Response.json(Object.fromEntries(request.headers)));
  const app = createMemoryApp({
    routes: [echo],
    app: {
      identify: (headers) => keys.identify(headers),
      checkMetrics: (headers) => keys.check(headers),
      allowedOrigins: ["https://app.example"],
    },
  });

  test("answers 401 in OpenAI's envelope, and says how to come in", async () => {
    const response = await app.request("/x");
    expect(response.headers.get("www-authenticate")).toBe("Bearer");
    expect(response.headers.get("x-should-retry")).toBe("false");
    expect(await response.json()).toMatchObject({ error: { code: "invalid_api_key", type: "authentication_error" } });
  });

  test("asks for one before it looks whether there is such a route", async () => {
    expect(await errorOf(await app.request("/nowhere"))).toMatchObject({ status: 401 });
  });

  test("keeps the key from the function", async () => {
    const response = await app.request("/x", {
      headers: { authorization: `Bearer ${alice.key}`, "x-api-key": "other", "x-kept": "yes" },
    });
    expect(await response.json()).toEqual({ "x-kept": "yes" });
  });

  test("answers a preflight without one, since browsers send none with it (S02)", async () => {
    const headers = { origin: "https://app.example", "access-control-request-method": "POST" };
    expect((await app.request("/x", { method: "OPTIONS", headers })).status).toBe(204);
  });

  test("checks Host and Origin first (S01)", async () => {
    const response = await app.request("/x", { headers: { host: "evil.example" } });
    expect(await errorOf(response)).toMatchObject({ code: "host_not_allowed" });
  });

  test("shows the metrics with one alone, and its health to everybody (S28)", async () => {
    expect((await app.request("/metrics")).status).toBe(401);
    expect((await app.request("/metrics", { headers: { "x-api-key": alice.key } })).status).toBe(200);
    expect((await app.request("/healthz")).status).toBe(200);
    expect((await app.request("/readyz")).status).toBe(200);
  });
});
