import { PassThrough } from "node:stream";
import { text } from "node:stream/consumers";
import { expect, test } from "vitest";
import { createLog } from "../../runtime/observe/log.ts";

test("the pretty format is for people: one line with level, message and fields", async () => {
  const destination = new PassThrough();
  const written = text(destination);
  const { logger } = createLog({ level: "info", format: "pretty", destination });
  logger.info({ route: "/api/v1/embed", ms: 4.1 }, "request");
  destination.end();
  const lines = (await written).trimEnd().split("\n");
  expect(lines).toHaveLength(1);
  expect(lines[0]).toMatch(/INFO: request \{"route":"\/api\/v1\/embed","ms":4\.1\}/);
});

test("lines below the level are not written", async () => {
  const written: string[] = [];
  const { logger } = createLog({
    level: "warn",
    format: "json",
    destination: { write: (line) => void written.push(line) },
  });
  logger.info("quiet");
  logger.warn("loud");
  expect(written.map((line) => (JSON.parse(line) as { msg: string }).msg)).toEqual(["loud"]);
});
