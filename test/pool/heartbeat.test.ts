import { expect, test } from "vitest";
import { createHeartbeat } from "../../runtime/pool/heartbeat.ts";
import { createVirtualClock } from "../doubles/virtual-clock.ts";

function begin() {
  const clock = createVirtualClock();
  const told: unknown[] = [];
  let isIdle = true;
  let asked = 0;
  const heartbeat = createHeartbeat({
    clock,
    isIdle: () => isIdle,
    ping: (id) => (asked = id),
    onSilent: (isSilent) => told.push(isSilent),
    onDead: () => told.push("dead"),
  });
  return {
    told,
    heartbeat,
    timers: () => clock.timers,
    answer: () => heartbeat.pong(asked),
    setIdle: (now: boolean) => (isIdle = now),
    asked: () => asked,
    sleep: (forMs: number) => clock.advance(forMs),
    async beat(times = 1): Promise<void> {
      for (let at = 0; at < times; at++) {
        clock.advance(1_000);
        await new Promise(setImmediate);
      }
    },
  };
}

test("a worker that answers is asked every second and nothing is told of it (W05)", async () => {
  const worker = begin();
  for (let second = 1; second <= 30; second++) {
    await worker.beat();
    expect(worker.asked()).toBe(second);
    worker.answer();
  }
  expect(worker.told).toEqual([]);
});

test("a worker is silent two seconds after it was asked, and dead after ten (W05)", async () => {
  const worker = begin();
  await worker.beat(2);
  expect(worker.told).toEqual([]);
  await worker.beat();
  expect(worker.told).toEqual([true]);
  await worker.beat(7);
  expect(worker.told).toEqual([true]);
  await worker.beat();
  expect(worker.told).toEqual([true, "dead"]);
});

test("a silent worker that answers is told of once (W05)", async () => {
  const worker = begin();
  await worker.beat(4);
  worker.answer();
  worker.answer();
  expect(worker.told).toEqual([true, false]);
});

test("a worker that computes is not asked: its batch tells (W05)", async () => {
  const worker = begin();
  worker.setIdle(false);
  await worker.beat(60);
  expect([worker.asked(), worker.told]).toEqual([0, []]);
});

test("an hour of sleep is one beat: the answer that lies there is read before the next (W05)", async () => {
  const worker = begin();
  await worker.beat();
  worker.sleep(3_600_000);
  await worker.beat(0);
  expect(worker.told).toEqual([]);
});

test("an answer to an older question does not count (W05)", async () => {
  const worker = begin();
  await worker.beat();
  worker.answer();
  await worker.beat();
  worker.heartbeat.pong(1);
  await worker.beat(2);
  expect(worker.told).toEqual([true]);
});

test("a heartbeat that is stopped leaves no timer, also in the middle of a beat", async () => {
  const worker = begin();
  await worker.beat();
  worker.heartbeat.stop();
  await worker.beat(3);
  expect(worker.timers()).toBe(0);
});
