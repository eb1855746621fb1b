import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeEach, expect, test } from "vitest";
import { createChildren } from "../../setup/children.mjs";
import { takeLock } from "../../setup/lock.mjs";

const parent = mkdtempSync(path.join(os.tmpdir(), "embedge-lock-"));
const never = new AbortController().signal;
let file = parent;
beforeEach(() => {
  file = path.join(mkdtempSync(path.join(parent, "state-")), "setup.lock");
});
afterAll(() => rmSync(parent, { recursive: true, force: true }));

const ignoreWait = (): void => {};

test("the second one waits, is told for whom, and goes on when the first has finished", async () => {
  const order: string[] = [];
  const first = await takeLock(file, never, ignoreWait);
  const { promise: told, resolve } = Promise.withResolvers<number>();
  const second = takeLock(file, never, resolve).then((lock) => {
    order.push("second has it");
    lock.release();
  });
  expect(await told).toBe(process.pid);
  order.push("first releases");
  first.release();
  await second;
  expect(order).toEqual(["first releases", "second has it"]);
  expect(existsSync(file)).toBe(false);
});

test("of many that find a dead one's lock, one at a time has it", async () => {
  const { pid } = spawnSync("true");
  writeFileSync(file, JSON.stringify({ pid, start: "1", children: [] }));
  let holders = 0;
  let most = 0;
  const work = async (): Promise<void> => {
    const lock = await takeLock(file, never, ignoreWait);
    holders += 1;
    most = Math.max(most, holders);
    await new Promise(setImmediate);
    holders -= 1;
    lock.release();
  };
  await Promise.all([work(), work(), work(), work()]);
  expect(most).toBe(1);
});

test("a lock that names this pid with another start is a dead one's (W50)", async () => {
  writeFileSync(file, JSON.stringify({ pid: process.pid, start: "1", children: [] }));
  const lock = await takeLock(file, never, ignoreWait);
  expect(JSON.parse(readFileSync(file, "utf8"))).toMatchObject({ pid: process.pid });
  lock.release();
});

test("programs that a dead set-up left running are ended before its lock is taken", async () => {
  const left = spawn("sleep", ["60"], { detached: true, stdio: "ignore" });
  const ended = once(left, "exit");
  await once(left, "spawn");
  const first = await takeLock(file, never, ignoreWait);
  first.setChildren([left.pid ?? 0]);
  const { children } = JSON.parse(readFileSync(file, "utf8")) as { children: unknown };
  writeFileSync(file, JSON.stringify({ pid: process.pid, start: "dead", children }));
  const lock = await takeLock(file, never, ignoreWait);
  expect(await ended).toEqual([null, "SIGKILL"]);
  lock.release();
});

test("the wait ends with the signal", async () => {
  const first = await takeLock(file, never, ignoreWait);
  const stop = new AbortController();
  const second = takeLock(file, stop.signal, () => stop.abort(new Error("stopped")));
  await expect(second).rejects.toThrow("stopped");
  first.release();
});

test("stopping ends every program with its own children, and starts no more", async () => {
  const children = createChildren(ignoreWait);
  const running = children.run("sh", ["-c", "echo started; sleep 60 & wait"], { step: "Sleeping" });
  const failure = running.catch(String);
  await children.stop();
  expect(await failure).toContain("Sleeping failed");
  await expect(children.run("true", [], { step: "Starting" })).rejects.toThrow("Starting was stopped");
});

test("a program that fails shows its last lines", async () => {
  const children = createChildren(ignoreWait);
  const failure = children.run("sh", ["-c", "echo one; echo two >&2; exit 3"], { step: "Trying" });
  await expect(failure).rejects.toMatchObject({
    message: "Trying failed.",
    output: expect.arrayContaining(["one", "two"]),
  });
});

test("a program that does not exist is a failure, not a crash (W48)", async () => {
  const children = createChildren(ignoreWait);
  await expect(children.run("/nowhere/npm", [], { step: "Installing" })).rejects.toThrow("Installing failed");
});
