import { installation } from "../config/installation.ts";
import { loadConfig, type LoadedConfig } from "../config/load.ts";
import { ConfigError, exitCodes } from "../config/problems.ts";
import {
  checkDisk,
  checkMachine,
  checkModel,
  checkNode,
  checkPort,
  checkPython,
  checkWrangler,
  type Finding,
} from "./checks.ts";
import { print } from "./output.ts";

export interface DoctorSources {
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
}

/** `embedge doctor [--json] [flags]`: looks at all that a start needs, and says how to mend what is wrong. Sets the exit code. */
export async function doctor(sources: DoctorSources): Promise<void> {
  const isJson = sources.args.includes("--json");
  const findings = await examine({ ...sources, args: sources.args.filter((arg) => arg !== "--json") });
  print(isJson ? JSON.stringify({ findings }, undefined, 2) : describeFindings(findings));
  process.exitCode = exitCodeOf(findings);
}

/** All findings, in the order in which a start would meet them. */
export async function examine(sources: DoctorSources): Promise<readonly Finding[]> {
  const { loaded, finding } = readSettings(sources);
  // Where the settings are broken the rest is looked at by the defaults.
  const { config } = loaded ?? loadConfig({ args: [], env: {}, cwd: installation.home });
  return [
    checkNode(),
    finding,
    ...checkMachine(config),
    checkDisk(),
    ...(await checkPython(config)),
    await checkModel(config),
    await checkPort(config),
    checkWrangler(sources.cwd),
  ];
}

/** That of the first check that failed. */
export function exitCodeOf(findings: readonly Finding[]): number {
  const failed = findings.find(({ state }) => state === "fail");
  return failed === undefined ? exitCodes.ok : (failed.exitCode ?? exitCodes.unavailable);
}

function readSettings(sources: DoctorSources): { readonly loaded?: LoadedConfig; readonly finding: Finding } {
  const name = "settings";
  try {
    const loaded = loadConfig(sources);
    return { loaded, finding: { name, state: "ok", text: loaded.file ?? "no file, defaults" } };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const mend = "Correct the lines above; all settings: docs/configuration.md";
    return { finding: { name, state: "fail", text: error.problems.join("\n"), mend, exitCode: error.exitCode } };
  }
}

function describeFindings(findings: readonly Finding[]): string {
  const width = Math.max(...findings.map(({ name }) => name.length));
  const lines = findings.flatMap(({ name, state, text, mend }) => [
    `${state.padEnd(4)}  ${name.padEnd(width)}  ${text.replaceAll("\n", `\n${" ".repeat(width + 8)}`)}`,
    ...(state === "ok" || mend === undefined ? [] : [`${" ".repeat(width + 8)}→ ${mend}`]),
  ]);
  const wrong = findings.filter(({ state }) => state !== "ok").length;
  return [
    ...lines,
    wrong === 0 ? "Everything is as it should be." : `${wrong} of ${findings.length} need a look.`,
  ].join("\n");
}
