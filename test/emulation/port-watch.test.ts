import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { afterEach, expect, test } from "vitest";
import { systemClock } from "../../runtime/clock.ts";
import { type PortWatch, watchPort } from "../../runtime/emulation/port-watch.ts";
import { until } from "../doubles/wait.ts";

let watch: PortWatch;
let server: Server | undefined;
let sockets: Socket[] = [];
afterEach(async () => {
  watch.follow(undefined);
  await end();
});

async function listenOn(port: number): Promise<URL> {
  server = createServer((socket) => sockets.push(socket)).listen(port, "127.0.0.1");
  await once(server, "listening");
  return new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
}

/** As when its process dies. */
async function end(): Promise<void> {
  for (const socket of sockets) socket.destroy();
  sockets = [];
  const closing = server;
  server = undefined;
  if (closing !== undefined) await new Promise((resolve) => closing.close(resolve));
}

test("a server that dies is noticed without a request, and again when another listens there", async () => {
  watch = watchPort(systemClock);
  const target = await listenOn(0);
  watch.follow(target);
  expect(await watch.untilListening(5_000)).toBe(target);
  await end();
  await until("it is noticed", () => !watch.isListening());
  const waiting = watch.untilListening(5_000);
  await listenOn(Number(target.port));
  expect(await waiting).toBe(target);
});

test("a server that closes an idle connection still listens", async () => {
  watch = watchPort(systemClock);
  watch.follow(await listenOn(0));
  await watch.untilListening(5_000);
  await until("it is connected", () => sockets.length === 1);
  sockets[0]?.end();
  await until("it connects again", () => sockets.length === 2);
  expect(watch.isListening()).toBe(true);
});

test("where nothing listens the wait ends, and whoever cares is told", async () => {
  watch = watchPort(systemClock);
  const target = await listenOn(0);
  await end();
  const down = new Promise<void>((resolve) => watch.onDown(100, resolve));
  watch.follow(target);
  expect(await watch.untilListening(20)).toBeUndefined();
  await down;
});
