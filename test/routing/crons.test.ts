import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { checkCrons, createCronRunner, type CronEvent } from "../../runtime/routing/crons.ts";

const MINUTE_MS = 60_000;
const START_MS = Date.UTC(2026, 0, 1, 0, 0, 30);
let fired: CronEvent[] = [];
const minutes = (): readonly number[] =>
  fired.map(({ scheduledTime }) => (scheduledTime - START_MS + 30_000) / MINUTE_MS);

beforeEach(() => {
  fired = [];
  vi.useFakeTimers({ now: START_MS });
});
afterEach(() => {
  vi.useRealTimers();
});

test("fires at the full minute, and tells the minute and the expression", () => {
  const crons = createCronRunner((event) => fired.push(event));
  crons.change(["*/2 * * * *"]);
  vi.advanceTimersByTime(5 * MINUTE_MS);
  expect(fired).toEqual([]);
  crons.start();
  vi.advanceTimersByTime(5 * MINUTE_MS);
  expect(fired.map(({ cron }) => cron)).toEqual(["*/2 * * * *", "*/2 * * * *", "*/2 * * * *"]);
  expect(minutes()).toEqual([6, 8, 10]);
  crons.stop();
});

test("a change leaves what stays as it is, and nothing fires twice", () => {
  const crons = createCronRunner((event) => fired.push(event));
  crons.start();
  crons.change(["* * * * *", "* * * * *"]);
  crons.change(["* * * * *"]);
  vi.advanceTimersByTime(MINUTE_MS);
  crons.change(["* * * * *", "*/1 * * * *"]);
  vi.advanceTimersByTime(MINUTE_MS);
  expect(minutes()).toEqual([1, 2, 2]);
  crons.change([]);
  vi.advanceTimersByTime(3 * MINUTE_MS);
  expect(minutes()).toHaveLength(3);
  crons.stop();
});

test("a minute that was missed while nothing ran is told as it was meant", () => {
  const crons = createCronRunner((event) => fired.push(event));
  crons.start();
  crons.change(["0 * * * *"]);
  vi.setSystemTime(START_MS + 90 * MINUTE_MS);
  vi.advanceTimersByTime(60 * MINUTE_MS);
  expect(minutes()[0]).toBe(60);
  crons.stop();
});

test("after stop nothing is left", () => {
  const crons = createCronRunner((event) => fired.push(event));
  crons.start();
  crons.change(["* * * * *"]);
  crons.stop();
  expect(vi.getTimerCount()).toBe(0);
});

test("what never fires is refused", () => {
  expect(() => checkCrons(["0 0 29 2 *"])).not.toThrow();
  expect(() => checkCrons(["0 0 31 11 *"])).toThrow('The cron "0 0 31 11 *" never fires.');
});
