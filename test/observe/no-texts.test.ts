import { expect, test } from "vitest";
import * as embed from "../../functions/api/v1/embed.ts";
import { AppError } from "../../runtime/errors.ts";
import { createLog } from "../../runtime/observe/log.ts";
import { logRequest } from "../../runtime/observe/request-log.ts";
import { createMemoryApp, postJson, routeOf, routeTo } from "../doubles/memory-app.ts";
import { createMemoryEmbedder } from "../doubles/memory-embedder.ts";

test("no text, model name, key or header of a request comes into the log, at any level (S12, S13, S25)", async () => {
  let log = "";
  const { logger } = createLog({
    level: "trace",
    format: "json",
    destination: { write: (text) => void (log += text) },
  });
  const embedder = createMemoryEmbedder({
    intercept: ({ texts }) =>
      texts.length === 2 ? Promise.reject(new AppError("poison_input", { param: "texts[1]" })) : undefined,
  });
  const app = createMemoryApp({
    embedder,
    routes: [
      routeOf("/embed", embed),
      routeTo("/throws", async (request) => {
        throw await request.text();
      }),
    ],
    app: { onRequest: (record) => logRequest(logger, record) },
  });
  const headers = { authorization: "Bearer CANARY", "user-agent": "CANARY", "x-request-id": "CANARY {}" };
  const bodies = [{ texts: ["CANARY"] }, { texts: ["CANARY", "CANARY"] }, { texts: [], CANARY: 1 }];
  for (const body of bodies) await app.request("/embed?CANARY", postJson(body, headers));
  await app.request("/embed", postJson({ texts: ["a"], model: "unknown CANARY" }, headers));
  await app.request("/embed", { ...postJson(null, headers), body: '{"texts":[CANARY' });
  await app.request("/throws", { ...postJson(null, headers), body: "CANARY" });
  await app.request("/CANARY", { headers });
  expect(log.trim().split("\n")).toHaveLength(7);
  expect(log).not.toContain("CANARY");
});
