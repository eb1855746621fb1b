import { execFile } from "node:child_process";
import path from "node:path";
import { promisify } from "node:util";

export const root: string = path.join(import.meta.dirname, "../..");

const run = promisify(execFile);

/** This user's variables, who may need a proxy or a mirror, but for those that steer embedge. */
export const userEnv: Readonly<Record<string, string | undefined>> = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !name.startsWith("EMBEDGE_")),
);

/** The same, with the Python side that `npm test` has set up. */
export const packageEnv: Readonly<Record<string, string | undefined>> = {
  ...userEnv,
  EMBEDGE_HOME: path.join(root, ".embedge"),
};

/** Builds the package and packs it into a folder; resolves with the tarball. */
export async function packInto(folder: string): Promise<string> {
  await run(process.execPath, [path.join(root, "scripts/build.ts")]);
  const packed = await npm(root, ["pack", "--ignore-scripts", "--pack-destination", folder]);
  return path.join(folder, packed.trim().split("\n").at(-1) ?? "");
}

export async function npm(cwd: string, args: readonly string[]): Promise<string> {
  const flags = ["--prefer-offline", "--no-audit", "--no-fund", "--loglevel=error"];
  const { stdout } = await run("npm", [...args, ...flags], { cwd, env: packageEnv });
  return stdout;
}
