import { nearest } from "./nearest.ts";
import { describeValue, type Setting } from "./settings.ts";

/** One value that the environment or the command line gives to one setting. */
export interface Assignment {
  readonly setting: Setting;
  readonly value: unknown;
  /** The variable or the flag, for messages. */
  readonly origin: string;
}

/** What one source says: its values, and what cannot be understood. */
export interface Source {
  readonly assignments: readonly Assignment[];
  readonly problems: readonly string[];
}

const FILE_FLAG = "--config";

/** `EMBEDGE_*` variables that are not settings: EMBEDGE_CONFIG names the file, EMBEDGE_HOME and EMBEDGE_SETUP_* steer the set-up, EMBEDGE_SUCCESSOR tells a host what it is, EMBEDGE_TEST_* tests. */
const otherVariables = /^EMBEDGE_(CONFIG$|HOME$|URL$|SUCCESSOR$|SETUP_|TEST_)/;

/** Reads every `EMBEDGE_*` variable; one that is no setting is a problem, since it is a typing error most likely. */
export function readEnvironment(
  env: Readonly<Record<string, string | undefined>>,
  settings: readonly Setting[],
): Source {
  const assignments: Assignment[] = [];
  const problems: string[] = [];
  const byName = new Map(settings.flatMap((setting) => setting.envNames.map((name) => [name, setting] as const)));
  for (const [name, text] of Object.entries(env)) {
    if (!name.startsWith("EMBEDGE_") || text === undefined || otherVariables.test(name) || isServiceLink(name, text))
      continue;
    const setting = byName.get(name);
    if (setting === undefined) problems.push(`${name}: no such setting${suggest(nearest(name, byName.keys()))}.`);
    else assignments.push({ setting, value: parseText(setting, text), origin: name });
  }
  return { assignments: shortNameLast(assignments), problems };
}

/** Reads `--flag VALUE` and `--flag=VALUE`. `file` is what `--config` names. */
export function readFlags(
  args: readonly string[],
  settings: readonly Setting[],
): Source & { readonly file: string | undefined } {
  let file: string | undefined;
  const assignments: Assignment[] = [];
  const problems: string[] = [];
  const byFlag = new Map(settings.flatMap((setting) => setting.flags.map((flag) => [flag, setting] as const)));
  for (let index = 0; index < args.length; index += 1) {
    const arg = args[index] ?? "";
    const [flag = "", inlineText] = splitOnce(arg);
    const setting = byFlag.get(flag);
    const next = args[index + 1];
    const ownsNext = arg.startsWith("-") && inlineText === undefined && next?.startsWith("--") === false;
    if (ownsNext) index += 1;
    // A switch that is named is on.
    const text = (ownsNext ? next : inlineText) ?? (setting?.kind === "switch" ? "true" : undefined);
    if (flag === FILE_FLAG && text !== undefined) {
      file = text;
    } else if (setting !== undefined && text !== undefined) {
      assignments.push({ setting, value: parseText(setting, text), origin: flag });
    } else if (setting !== undefined) {
      problems.push(`${flag}: needs a value, ${describeValue(setting)}.`);
    } else if (flag === FILE_FLAG) {
      problems.push(`${flag}: needs a value, the path of a configuration file.`);
    } else if (arg.startsWith("-")) {
      problems.push(`${flag}: no such flag${suggest(nearest(flag, [...byFlag.keys(), FILE_FLAG]))}.`);
    } else {
      problems.push(
        `${JSON.stringify(arg)}: unexpected argument. With npm, flags follow "--": npm start -- --port 9090`,
      );
    }
  }
  return { assignments, problems, file };
}

/** Reads what a program gives, by section and key; what is undefined is not given. */
export function readGiven(given: Readonly<Record<string, unknown>>, settings: readonly Setting[]): Source {
  const assignments: Assignment[] = [];
  const problems: string[] = [];
  const byPath = new Map(settings.map((setting) => [setting.path, setting] as const));
  const sections = new Set(settings.map(({ path }) => path.split(".", 1).join()));
  const read = (at: string, value: unknown): void => {
    const setting = byPath.get(at);
    if (value === undefined) return;
    if (setting !== undefined) assignments.push({ setting, value, origin: at });
    else if (sections.has(at)) problems.push(`${at}: must be a section, an object.`);
    else problems.push(`${at}: no such setting${suggest(nearest(at, [...sections, ...byPath.keys()]))}.`);
  };
  for (const [section, value] of Object.entries(given)) {
    const isSection = sections.has(section) && !byPath.has(section) && typeof value === "object" && value !== null;
    if (!isSection) read(section, value);
    else for (const [key, entry] of Object.entries(value)) read(`${section}.${key}`, entry);
  }
  return { assignments, problems };
}

function splitOnce(arg: string): readonly string[] {
  const at = arg.startsWith("--") ? arg.indexOf("=") : -1;
  return at === -1 ? [arg] : [arg.slice(0, at), arg.slice(at + 1)];
}

/** The end of a sentence about an unknown name. */
export function suggest(name: string | undefined): string {
  return name === undefined ? "" : `; the nearest is ${name}`;
}

/** Kubernetes gives each pod such variables for a service that is called "embedge"; EMBEDGE_PORT=tcp://… is one of them. */
function isServiceLink(name: string, text: string): boolean {
  return (
    /^EMBEDGE_(SERVICE_(HOST|PORT)|PORT_\d+_)/.test(name) || (name === "EMBEDGE_PORT" && text.startsWith("tcp://"))
  );
}

/** The short name wins over the systematic one, as the one that people type. */
function shortNameLast(assignments: readonly Assignment[]): readonly Assignment[] {
  const rank = ({ setting, origin }: Assignment): number => -setting.envNames.indexOf(origin);
  return assignments.toSorted((a, b) => rank(a) - rank(b));
}

/** Turns text into the setting's type where it can be; what cannot be turned is left for the schema to refuse. */
function parseText(setting: Setting, text: string): unknown {
  switch (setting.kind) {
    case "integer":
    case "auto_or_integer":
      return /^-?\d+$/.test(text) ? Number(text) : text;
    case "switch":
      return text === "true" || (text === "false" ? false : text);
    case "list":
      return text === "" ? [] : text.split(",").map((item) => item.trim());
    case "table":
      return parseTable(text);
    case "text":
    case "choice":
      return text;
  }
}

/** Tables come as JSON, since a name or a value may hold any other separator. */
function parseTable(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
