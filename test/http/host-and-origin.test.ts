import { describe, expect, test } from "vitest";
import { createMemoryApp, errorOf, routeTo } from "../doubles/memory-app.ts";

const routes = [routeTo("/x", () => new Response("x"), ["GET", "POST"])];
const app = createMemoryApp({ routes });
const open = createMemoryApp({
  routes,
  app: { allowedHosts: ["Embed.example:8080", "192.168.1.5"], allowedOrigins: ["https://app.example"] },
});

describe("the host (S01)", () => {
  test.each([
    "localhost",
    "LOCALHOST:8080",
    "app.localhost:1",
    "127.0.0.1:8080",
    "127.255.0.3",
    "[::1]:8080",
    "localhost.",
  ])("%s is ours", async (host) => {
    expect((await app.request("/x", { headers: { host } })).status).toBe(200);
  });

  test.each([
    "evil.example",
    "evil.example:8080",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "evillocalhost",
    "192.168.1.5",
    "0.0.0.0",
    "[::2]",
  ])("%s is not", async (host) => {
    const response = await app.request("/x", { headers: { host } });
    expect(await errorOf(response)).toMatchObject({ status: 403, code: "host_not_allowed" });
  });

  test.each(["a b", "a, b", "localhost, localhost", "", "x/y", "user@localhost", "localhost:99999999", "[::1"])(
    "%j is none at all (H24)",
    async (host) => {
      const response = await app.request("/x", { headers: { host } });
      expect(await errorOf(response)).toMatchObject({ status: 400, code: "invalid_host" });
    },
  );

  test("counts in the URL as well (H26)", async () => {
    const response = await app.request("http://evil.example/x", { headers: { host: "localhost" } });
    expect(await errorOf(response)).toMatchObject({ code: "host_not_allowed" });
  });

  test.each(["embed.example", "EMBED.example:1", "192.168.1.5:8080"])("%s is allowed by name", async (host) => {
    expect((await open.request("/x", { headers: { host } })).status).toBe(200);
  });

  test("may be any where * is allowed", async () => {
    const any = createMemoryApp({ routes, app: { allowedHosts: ["*"] } });
    expect((await any.request("http://evil.example/x")).status).toBe(200);
  });

  test("guards the operations too (S28)", async () => {
    expect((await app.request("/metrics", { headers: { host: "evil.example" } })).status).toBe(403);
  });
});

describe("the origin (S02)", () => {
  test("of our own page may call", async () => {
    const response = await app.request("http://localhost:8080/x", { headers: { origin: "http://localhost:8080" } });
    expect(response.status).toBe(200);
  });

  test.each(["https://evil", "null", "http://localhost:3000", "http://localhost.evil", "https://app.example.evil"])(
    "%s may not, and gets no CORS header",
    async (origin) => {
      for (const method of ["GET", "POST", "OPTIONS"]) {
        const headers = { origin, "access-control-request-method": "POST" };
        const response = await open.request("http://localhost:8080/x", { method, headers });
        expect(response.headers.get("access-control-allow-origin")).toBeNull();
        expect(await errorOf(response)).toMatchObject({ status: 403, code: "origin_not_allowed" });
      }
    },
  );

  test("that is allowed gets itself back, never *", async () => {
    const response = await open.request("/x", { headers: { origin: "https://app.example" } });
    expect(response.headers.get("access-control-allow-origin")).toBe("https://app.example");
    expect(response.headers.get("access-control-allow-credentials")).toBeNull();
    expect(response.headers.get("vary")).toBe("origin");
  });

  test("that is allowed can read errors too", async () => {
    const response = await open.request("/nowhere", { headers: { origin: "https://app.example" } });
    expect([response.status, response.headers.get("access-control-allow-origin")]).toEqual([
      404,
      "https://app.example",
    ]);
  });

  const preflight = (headers: Record<string, string>): Promise<Response> =>
    Promise.resolve(
      open.request("/x", {
        method: "OPTIONS",
        headers: { origin: "https://app.example", "access-control-request-method": "POST", ...headers },
      }),
    );

  test("that is allowed has its preflight answered", async () => {
    const response = await preflight({ "access-control-request-headers": "content-type,authorization" });
    expect(response.status).toBe(204);
    expect(Object.fromEntries(response.headers)).toMatchObject({
      "access-control-allow-origin": "https://app.example",
      "access-control-allow-methods": "POST",
      "access-control-allow-headers": "content-type,authorization",
    });
    expect(response.headers.get("access-control-allow-private-network")).toBeNull();
  });

  test("that is allowed may reach a private network when it asks", async () => {
    const response = await preflight({ "access-control-request-private-network": "true" });
    expect(response.headers.get("access-control-allow-private-network")).toBe("true");
  });

  test("may be any where * is allowed, but null", async () => {
    const any = createMemoryApp({ routes, app: { allowedOrigins: ["*"] } });
    expect((await any.request("/x", { headers: { origin: "https://evil" } })).status).toBe(200);
    expect((await any.request("/x", { headers: { origin: "null" } })).status).toBe(403);
  });
});
