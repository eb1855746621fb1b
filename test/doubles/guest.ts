/** A program that takes a host in, uses it in every way, closes it, and prints what is left. It ends by itself, or something is left. */
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { setImmediate } from "node:timers/promises";
import { createFakeHost } from "./fake-host.ts";
import { postJson } from "./memory-app.ts";
import { isRunning } from "./pool-recorder.ts";

export interface GuestReport {
  /** Differences between before and after: names of events and globals. */
  readonly listeners: readonly string[];
  readonly globals: readonly string[];
  /** The same while the host ran. */
  readonly listenersWhileOpen: readonly string[];
  readonly globalsWhileOpen: readonly string[];
  /** What keeps a process alive. */
  readonly resources: readonly string[];
  readonly workersRunning: readonly number[];
}

interface Snapshot {
  readonly listeners: ReadonlyMap<string, number>;
  readonly globals: ReadonlyMap<string, unknown>;
  readonly resources: ReadonlyMap<string, number>;
}

function snapshot(): Snapshot {
  const names = Object.getOwnPropertyNames(globalThis);
  const events = process.eventNames().map(String);
  const resources = process.getActiveResourcesInfo();
  return {
    listeners: new Map(events.map((name) => [name, process.listenerCount(name)])),
    globals: new Map(names.map((name) => [name, Reflect.get(globalThis, name)])),
    resources: new Map(resources.map((name) => [name, resources.filter((other) => other === name).length])),
  };
}

function changes<T>(before: ReadonlyMap<string, T>, after: ReadonlyMap<string, T>): string[] {
  const names = new Set([...before.keys(), ...after.keys()]);
  return [...names].filter((name) => !Object.is(before.get(name), after.get(name)));
}

// Node makes these at first use, whoever uses them: streams of the process, the client behind fetch.
process.stderr.write("");
process.stdout.write("");
await fetch("data:,");
const before = snapshot();

// With a log, since a logger likes to listen for the end of the process.
const fake = await createFakeHost({ log: { level: "error" } });
const { host } = fake;
const server = createServer(host.nodeListener).listen(0, "127.0.0.1");
await once(server, "listening");
const { port } = server.address() as AddressInfo;
await host.ready();
await host.embed(["direct"]);
await (await fetch(`http://127.0.0.1:${port}/api/v1/embed`, postJson({ texts: ["mounted"] }))).arrayBuffer();
const { url } = await host.listen();
await (await fetch(`${url}/healthz`)).arrayBuffer();
const open = snapshot();
server.close();
server.closeAllConnections();
await once(server, "close");
await host.close();

// The callback that has brought us here counts as a resource until it returns.
await setImmediate();
const after = snapshot();
const report: GuestReport = {
  listeners: changes(before.listeners, after.listeners),
  globals: changes(before.globals, after.globals),
  listenersWhileOpen: changes(before.listeners, open.listeners),
  globalsWhileOpen: changes(before.globals, open.globals),
  resources: changes(before.resources, after.resources),
  workersRunning: fake.workerPids().filter(isRunning),
};
process.stdout.write(JSON.stringify(report));
await fake[Symbol.asyncDispose]();
