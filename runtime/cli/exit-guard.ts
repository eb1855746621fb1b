import { realpathSync } from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";

/**
 * From now on `process.exit` throws where code in one of these folders calls it, since it would end the answers of all others too.
 *
 * A guard against a slip: functions are trusted code, and there are other ways to end a process.
 */
export function forbidExit(folders: readonly string[]): void {
  const urls = folders.map((folder) => `${pathToFileURL(realpathSync(folder)).href}/`);
  // A project may hold embedge itself, among its packages.
  const own = pathToFileURL(path.dirname(import.meta.dirname)).href;
  const exit = process.exit.bind(process);
  process.exit = (code) => {
    const [caller = "", ...callers] = callersOfExit();
    const isOurs = caller.includes(own) || ![caller, ...callers].some((line) => urls.some((url) => line.includes(url)));
    if (!isOurs) throw new Error("A function may not end the process with process.exit().");
    return exit(code);
  };
}

/** Lines of the stack, nearest first. */
function callersOfExit(): readonly string[] {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = Infinity;
  const { stack = "" } = new Error("where");
  Error.stackTraceLimit = limit;
  // The message, this function and the exit itself.
  return stack.split("\n").slice(3);
}
