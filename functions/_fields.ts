import { z } from "zod";

/** What looks at more of a body's fields than this costs more than it tells. */
const FIELDS_LOOKED_AT = 64;
const NAME_CHARACTERS_MAX = 32;

export interface Misspelling {
  readonly field: string;
  readonly meant: string;
}

/**
 * The first field of `value` that is none of the schema's and one or two letters away from one that is missing.
 *
 * Only those: real clients send fields of their own (`user`, `input_type`, `truncation`), which must do no harm, while a
 * `normalise` that is dropped in silence gives other vectors than were asked for.
 */
export function findMisspelling(value: unknown, schema: z.ZodType): Misspelling | undefined {
  if (!(schema instanceof z.ZodObject) || typeof value !== "object" || value === null) return undefined;
  const missing = Object.keys(schema.shape).filter((name) => !Object.hasOwn(value, name));
  let lookedAt = 0;
  // Not `Object.keys`, which would make a list of all names of a hostile body.
  for (const field in value) {
    if (++lookedAt > FIELDS_LOOKED_AT) return undefined;
    if (field.length > NAME_CHARACTERS_MAX || Object.hasOwn(schema.shape, field)) continue;
    const meant = missing.find((name) => isNear(field, name));
    if (meant !== undefined) return { field, meant };
  }
  return undefined;
}

/** One letter of a short name, two of a longer one; case, `-` and `_` do not count. */
function isNear(given: string, name: string): boolean {
  const [from, to] = [given, name].map((text) => text.toLowerCase().replaceAll(/[-_]/g, "")) as [string, string];
  return editDistance(from, to) <= (to.length < 8 ? 1 : 2);
}

/** Letters to insert, delete or replace (Levenshtein), row by row. */
function editDistance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (let index = 0; index < from.length; index++) {
    const next = [index + 1];
    for (let column = 1; column <= to.length; column++) {
      const replaced = (row[column - 1] ?? 0) + (from[index] === to[column - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[column] ?? 0) + 1, (next[column - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[to.length] ?? 0;
}
