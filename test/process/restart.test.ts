import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { expect, test } from "vitest";
import { fakeVector } from "../doubles/fake-answer.ts";
import { type FakeModel, makeFakeModel } from "../doubles/fake-model.ts";
import { isRunning } from "../doubles/pool-recorder.ts";
import { connectRaw } from "../doubles/raw-client.ts";
import { serveWithFakeWorkers, type ServedCli } from "../doubles/served-cli.ts";
import { startSteadyClients } from "../doubles/steady-clients.ts";
import { until } from "../doubles/wait.ts";

const GET = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
const TAKEN_OVER = "The new host serves";
const isFakeVectorOf = (vector: readonly number[], text: string): boolean =>
  Float32Array.from(vector).every((value, at) => value === fakeVector(text)[at]) && vector.length === 8;

async function portOf(served: ServedCli): Promise<number> {
  return Number(new URL(await served.url()).port);
}

async function restart(served: ServedCli): Promise<void> {
  const before = served.said().split(TAKEN_OVER).length;
  served.child.kill("SIGUSR2");
  await until("the new host serves", () => served.said().split(TAKEN_OVER).length > before, 30_000);
}

test("SIGUSR2 starts the whole host anew, and no request is refused or lost (C26)", async () => {
  await using served = serveWithFakeWorkers();
  await served.untilSaid("ready on");
  const clients = startSteadyClients(await served.url(), { keepAlive: 12, fresh: 4, isVectorOf: isFakeVectorOf });
  for (const times of [1, 2, 3]) {
    await restart(served);
    const before = clients.answered;
    await until("the new host has answered", () => clients.answered > before + 200);
    const old = served.workerPids().slice(0, 2 * times);
    await until("nothing of the old host is left", () => !old.some(isRunning));
  }
  await clients.stop();
  expect(clients.failures).toEqual([]);
  served.child.kill("SIGTERM");
  expect(await served.exited).toEqual([0, null]);
  expect(served.workerPids()).toHaveLength(8);
  expect(served.workerPids().filter(isRunning)).toEqual([]);
});

test("the new host may serve another model, and no request is refused or lost (C26)", async () => {
  const models = [makeFakeModel(), makeFakeModel()] as const;
  const folder = mkdtempSync(join(tmpdir(), "embedge-restart-"));
  const config = join(folder, "embedge.toml");
  const write = ({ folder: model }: FakeModel): void =>
    writeFileSync(config, `[models]\ndefault = ${JSON.stringify(model)}\n`);
  // On a connection of its own: one that idles would keep the old host alive.
  const servedModel = async (): Promise<string | undefined> => {
    const body = '{"texts":["x"]}';
    const head = `POST /api/v1/embed HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n`;
    const client = await connectRaw(await portOf(served), `${head}Content-Length: ${body.length}\r\n\r\n${body}`);
    return /"model":"([^"]+)"/.exec(await client.closed())?.[1];
  };
  write(models[0]);
  await using served = serveWithFakeWorkers({}, ["--config", config], { isModelGiven: false });
  await served.untilSaid("ready on");
  expect(await servedModel()).toBe(basename(models[0].folder));
  const clients = startSteadyClients(await served.url(), { keepAlive: 8, fresh: 4, isVectorOf: isFakeVectorOf });
  write(models[1]);
  await restart(served);
  await until("the old host is gone", () => !models[0].workerPids().some(isRunning));
  expect(await servedModel()).toBe(basename(models[1].folder));
  await clients.stop();
  expect(clients.failures).toEqual([]);
  served.child.kill("SIGTERM");
  expect(await served.exited).toEqual([0, null]);
  for (const model of models) await model.remove();
  rmSync(folder, { recursive: true });
});

test("a new host that cannot start leaves the old one as it is, and says why (C26)", async () => {
  const folder = mkdtempSync(join(tmpdir(), "embedge-restart-"));
  const config = join(folder, "embedge.toml");
  writeFileSync(config, "");
  try {
    await using served = serveWithFakeWorkers({}, ["--config", config]);
    await served.untilSaid("ready on");
    writeFileSync(config, "[server]\nportt = 1\n");
    served.child.kill("SIGUSR2");
    await until("it says so", () => served.logged().includes("ended with 78 before it could serve"));
    expect(served.logged()).toContain("portt");
    expect((await served.post("still here")).status).toBe(200);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("a connection that idles is served by the old host, and ended with that answer (C26)", async () => {
  await using served = serveWithFakeWorkers();
  await served.untilSaid("ready on");
  const idle = await connectRaw(await portOf(served), GET);
  await idle.until(/\{"status":"ok"\}$/);
  await restart(served);
  idle.socket.write(GET);
  expect(await idle.closed()).toMatch(/Connection: close\r\n.*\{"status":"ok"\}$/is);
});

test("a socket of systemd's is served, and outlives the host (C26)", async () => {
  const socket = createServer().listen(0, "127.0.0.1");
  await once(socket, "listening");
  const { port } = socket.address() as AddressInfo;
  await using served = serveWithFakeWorkers({}, [], { socket });
  socket.close();
  await served.untilSaid("ready on");
  expect(await served.url()).toBe(`http://127.0.0.1:${port}`);
  const clients = startSteadyClients(await served.url(), { keepAlive: 2, fresh: 2, isVectorOf: isFakeVectorOf });
  await restart(served);
  await clients.stop();
  expect(clients.failures).toEqual([]);
});

test("the end of the process above ends the host and its workers (C26)", async () => {
  await using served = serveWithFakeWorkers();
  await served.untilSaid("ready on");
  served.child.kill("SIGKILL");
  await until("no worker is left", () => !served.workerPids().some(isRunning), 2_000);
});
