import { Cron } from "croner";
import { describe, expect, test } from "vitest";
import { CronPatternError, toCronerPattern } from "../../runtime/routing/cron-pattern.ts";

/** The next firings after 1 January 2026, a Thursday, as day or as time of day. */
function next(pattern: string, count: number): readonly string[] {
  const job = new Cron(toCronerPattern(pattern), { timezone: "UTC", mode: "5-part" });
  return job.nextRuns(count, "2026-01-01T00:00:00Z").map((date) => date.toISOString().slice(0, 16).replace("T", " "));
}
const days = (pattern: string, count: number): readonly string[] =>
  next(`0 0 ${pattern}`, count).map((text) => text.slice(5, 10));
const times = (pattern: string, count: number): readonly string[] =>
  next(`${pattern} * * *`, count).map((text) => text.slice(11));

describe("fires as Cloudflare's", () => {
  test.each([
    ["Sunday is 1", "* * 1", ["01-04", "01-11"]],
    ["Saturday is 7", "* * 7", ["01-03", "01-10"]],
    ["names, in any case", "* feb mon,Wed", ["02-02", "02-04", "02-09"]],
    ["a range that goes round the week", "* * FRI-MON", ["01-02", "01-03", "01-04", "01-05", "01-09"]],
    ["a range that goes round the year", "1 NOV-JAN *", ["11-01", "12-01", "01-01"]],
    ["the last day", "L * *", ["01-31", "02-28", "03-31"]],
    ["the last weekday", "LW * *", ["01-30", "02-27", "03-31"]],
    ["the weekday next to a Sunday, and to a Saturday", "15W 2,8 *", ["02-16", "08-14"]],
    ["the last Friday", "* * 6L", ["01-30", "02-27"]],
    ["the last Friday, by name", "* * friL", ["01-30", "02-27"]],
    ["L alone is Saturday", "* * L", ["01-03", "01-10"]],
    ["the third Friday", "* * FRI#3", ["01-16", "02-20"]],
    ["one of two days is enough", "13 * FRI", ["01-02", "01-09", "01-13", "01-16"]],
    ["every second day from the 27th", "27/2 * *", ["01-27", "01-29", "01-31", "02-27"]],
    ["each day that is named is one, and no star", "1-31 * SUN", ["01-02", "01-03", "01-04"]],
  ])("%s", (_what, pattern, expected) => {
    expect(days(pattern, expected.length)).toEqual(expected);
  });

  test.each([
    ["a step from a minute on", "10/20 0", ["00:10", "00:30", "00:50"]],
    ["a step of all", "*/20 0", ["00:20", "00:40", "00:00"]],
    ["a step of a range", "10-30/10,59 0", ["00:10", "00:20", "00:30", "00:59"]],
    ["a range that goes round midnight", "0 22-1", ["01:00", "22:00", "23:00", "00:00"]],
  ])("%s", (_what, pattern, expected) => {
    expect(times(pattern, expected.length)).toEqual(expected);
  });
});

test.each([
  ["* * * *", "has 4 fields, not 5"],
  ["0 * * * * *", "has 6 fields, not 5"],
  ["60 * * * *", 'has "60" for a minute, which is 0 to 59'],
  ["* * * * 0", 'has "0" for a day of the week, which is 1 to 7, SUN to SAT'],
  ["* * * * 8", 'has "8" for a day of the week'],
  ["* * * FOO *", 'has "FOO" for a month, which is 1 to 12, JAN to DEC'],
  ["*/0 * * * *", "has a step of 0 for a minute"],
  ["*/60 * * * *", "has a step of 60 for a minute"],
  ["1,,2 * * * *", 'has "" for a minute'],
  ["*,1 * * * *", 'has "*" for a minute'],
  ["* * 40W * *", 'has "40" for a day of the month'],
  ["* * 1,L * *", 'has "L" for a day of the month'],
  ["* * * * 2#6", 'has "2#6" for a day of the week'],
  ["* * L-3 * *", "counts back from the last day (L-3), which is not run here"],
  ["@daily", "has 1 fields, not 5"],
])("%s is refused", (pattern, reason) => {
  const wrong = (): string => toCronerPattern(pattern);
  expect(wrong).toThrow(CronPatternError);
  expect(wrong).toThrow(`The cron "${pattern}" ${reason}`);
});
