import { Cron } from "croner";
import { CronPatternError, toCronerPattern } from "./cron-pattern.ts";

/** Throws CronPatternError for the first expression that is wrong, or that would never fire. */
export function checkCrons(patterns: readonly string[]): void {
  for (const pattern of patterns) {
    if (createJob(pattern).nextRun() === null) throw new CronPatternError(pattern, "never fires");
  }
}

/** One firing: the expression as it was written, and the minute that was meant, milliseconds since 1970. */
export interface CronEvent {
  readonly cron: string;
  readonly scheduledTime: number;
}

/** What fires by the clock on the wall, in UTC. */
export interface CronRunner {
  /** From now on these. What stands already goes on as it is, so that nothing fires twice. */
  change(patterns: readonly string[]): void;
  start(): void;
  stop(): void;
}

/** Nothing fires before `start`, nor after `stop`. */
export function createCronRunner(fire: (event: CronEvent) => void): CronRunner {
  const jobs = new Map<string, Cron>();
  let wanted: readonly string[] = [];
  let isRunning = false;

  const settle = (): void => {
    const standing = isRunning ? wanted : [];
    for (const [cron, job] of jobs) {
      if (standing.includes(cron)) continue;
      job.stop();
      jobs.delete(cron);
    }
    for (const cron of standing) {
      if (!jobs.has(cron)) jobs.set(cron, schedule(cron, fire));
    }
  };
  return {
    change(patterns) {
      wanted = patterns;
      settle();
    },
    start() {
      isRunning = true;
      settle();
    },
    stop() {
      isRunning = false;
      settle();
    },
  };
}

function schedule(cron: string, fire: (event: CronEvent) => void): Cron {
  const job = createJob(cron);
  let next = job.nextRun();
  return job.schedule(() => {
    const scheduledTime = (next ?? new Date()).getTime();
    next = job.nextRun();
    fire({ cron, scheduledTime });
  });
}

function createJob(pattern: string): Cron {
  const options = { timezone: "UTC", mode: "5-part", domAndDow: false, unref: true } as const;
  return new Cron(toCronerPattern(pattern), options);
}
