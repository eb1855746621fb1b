import os from "node:os";
import path from "node:path";
import { installation, isClone, packageVersion } from "../config/installation.ts";
import { ConfigError, exitCodes } from "../config/problems.ts";
import { type SetupExtra, setUpWorkers } from "../set-up.ts";
import { writeProject } from "./new-project.ts";
import { print } from "./output.ts";

const extraFlags: ReadonlyMap<string, SetupExtra> = new Map([
  ["--fast", "fast"],
  ["--cuda", "cuda"],
]);

/** `embedge setup [--fast] [--cuda]`: for an image or a machine that shall not fetch anything at its first start. */
export async function setUp(args: readonly string[]): Promise<void> {
  const extras = args.map((arg) => {
    const extra = extraFlags.get(arg);
    if (extra === undefined) throw new ConfigError(["embedge setup takes --fast and --cuda only."], exitCodes.usage);
    return extra;
  });
  if (isClone) throw new ConfigError(["A clone is set up by npm start and npm run setup."], exitCodes.usage);
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stop.abort(signal));
  try {
    await setUpWorkers(process.stderr, stop.signal, { extras });
  } catch (error) {
    if (!stop.signal.aborted) throw error;
    process.exit(128 + os.constants.signals[stop.signal.reason as NodeJS.Signals]);
  }
  print(`Everything is in place: ${installation.home}`);
}

/** `embedge init [folder]`. */
export async function init(args: readonly string[]): Promise<void> {
  const [folder = ".", ...more] = args;
  if (more.length > 0 || folder.startsWith("-")) {
    throw new ConfigError(["embedge init takes one folder at most."], exitCodes.usage);
  }
  const { written, kept, isInstalled } = writeProject(path.resolve(folder), packageVersion());
  for (const file of written) print(`wrote  ${file}`);
  for (const file of kept) print(`kept   ${file}, which was there`);
  const steps = [
    ...(folder === "." ? [] : [`cd ${folder}`]),
    ...(isInstalled ? [] : ["npm install"]),
    "npx embedge serve",
  ];
  print(`\nNow: ${steps.join(" && ")}`);
}
