/** An expression that Cloudflare would refuse, or that cannot be run here. */
export class CronPatternError extends Error {
  readonly pattern: string;

  constructor(pattern: string, reason: string) {
    super(`The cron "${pattern}" ${reason}.`);
    this.name = "CronPatternError";
    this.pattern = pattern;
  }
}

interface Field {
  readonly name: string;
  readonly min: number;
  readonly max: number;
  /** That of `min` first. */
  readonly names?: readonly string[];
}

const MINUTE: Field = { name: "minute", min: 0, max: 59 };
const HOUR: Field = { name: "hour", min: 0, max: 23 };
const DAY: Field = { name: "day of the month", min: 1, max: 31 };
const MONTH: Field = {
  name: "month",
  min: 1,
  max: 12,
  names: ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"],
};
const WEEKDAY: Field = {
  name: "day of the week",
  min: 1,
  max: 7,
  names: ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"],
};

/**
 * A cron expression of Cloudflare in the words of croner, with every range and step written out.
 *
 * Cloudflare's are those of Quartz in five fields: Sunday is 1, ranges may go round (`FRI-MON`, `22-2`), `5/10` is 5, 15, 25 …
 * to the end, `L`, `LW`, `15W`, `6L` and `6#3` stand alone in their field; where both days are given, one of them is enough
 * (https://developers.cloudflare.com/workers/configuration/cron-triggers/, whose parser is github.com/cloudflare/saffron).
 * Throws CronPatternError.
 */
export function toCronerPattern(pattern: string): string {
  const fields = pattern.trim().split(/ +/);
  const [minute = "", hour = "", day = "", month = "", weekday = ""] = fields;
  if (fields.length !== 5) throw new CronPatternError(pattern, `has ${fields.length} fields, not 5`);
  const list = (text: string, field: Field): string => expandField(pattern, text, field);
  return [
    list(minute, MINUTE),
    list(hour, HOUR),
    expandDay(pattern, day),
    list(month, MONTH),
    expandWeekday(pattern, weekday),
  ].join(" ");
}

function expandDay(pattern: string, text: string): string {
  if (text.startsWith("L-"))
    throw new CronPatternError(pattern, `counts back from the last day (${text}), which is not run here`);
  if (text === "L" || text === "LW") return text;
  const nearest = /^(\d+)W$/.exec(text)?.[1];
  return nearest === undefined ? expandField(pattern, text, DAY) : `${valueOf(pattern, nearest, DAY)}W`;
}

/** croner counts from Sunday as 0. */
function expandWeekday(pattern: string, text: string): string {
  if (text === "L") return "6";
  const [, day, rank] = /^(\w+?)(L|#[1-5])$/.exec(text) ?? [];
  if (day !== undefined && rank !== undefined) {
    return `${valueOf(pattern, day, WEEKDAY) - 1}${rank === "L" ? "#L" : rank}`;
  }
  const expanded = expandField(pattern, text, WEEKDAY);
  return expanded === "*"
    ? "*"
    : expanded
        .split(",")
        .map((value) => Number(value) - 1)
        .join(",");
}

/** Every value, or a star where it was one: a day that is a star says nothing, one that lists all days does. */
function expandField(pattern: string, text: string, field: Field): string {
  if (text === "*") return "*";
  const values = new Set(text.split(",").flatMap((part) => expandPart(pattern, part, field)));
  return [...values].toSorted((a, b) => a - b).join(",");
}

function expandPart(pattern: string, part: string, field: Field): readonly number[] {
  const [, first = "", last, stepText] = /^(\*|\w+)(?:-(\w+))?(?:\/(\d+))?$/.exec(part) ?? [];
  const isStar = first === "*";
  if (first === "" || (isStar && (last !== undefined || stepText === undefined))) {
    throw new CronPatternError(pattern, `has "${part}" for a ${field.name}`);
  }
  const start = isStar ? field.min : valueOf(pattern, first, field);
  const end = last === undefined ? (stepText === undefined ? start : field.max) : valueOf(pattern, last, field);
  const step = stepText === undefined ? 1 : Number(stepText);
  const size = field.max - field.min + 1;
  if (step < 1 || step >= size) throw new CronPatternError(pattern, `has a step of ${step} for a ${field.name}`);
  const count = (end - start + size) % size;
  const values: number[] = [];
  for (let offset = 0; offset <= count; offset += step) {
    values.push(field.min + ((start - field.min + offset) % size));
  }
  return values;
}

function valueOf(pattern: string, text: string, { name, min, max, names = [] }: Field): number {
  const named = names.indexOf(text.toUpperCase());
  const value = named === -1 && /^\d+$/.test(text) ? Number(text) : named + min;
  if ((named === -1 && !/^\d+$/.test(text)) || value < min || value > max) {
    const range = names.length === 0 ? `${min} to ${max}` : `${min} to ${max}, ${names[0]} to ${names.at(-1)}`;
    throw new CronPatternError(pattern, `has "${text}" for a ${name}, which is ${range}`);
  }
  return value;
}
