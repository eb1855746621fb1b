/** Exit codes of sysexits.h, as far as a start can end in them. */
export const exitCodes = {
  ok: 0,
  usage: 64,
  dataError: 65,
  noInput: 66,
  unavailable: 69,
  internal: 70,
  noPermission: 77,
  config: 78,
} as const;

/** Why the host cannot start as it was asked to: every problem at once, and the exit code that tells scripts which kind. */
export class ConfigError extends Error {
  readonly problems: readonly string[];
  readonly exitCode: number;

  constructor(problems: readonly string[], exitCode: number) {
    super(problems.join("\n"));
    this.name = "ConfigError";
    this.problems = problems;
    this.exitCode = exitCode;
  }
}

/** The failure of a file operation as a ConfigError: 77 where rights are missing, else 66. */
export function fileProblem(file: string, error: unknown): ConfigError {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  if (code === "EACCES" || code === "EPERM") {
    return new ConfigError([`${file}: this user may not read it.`], exitCodes.noPermission);
  }
  const reason = code === "ENOENT" || code === "ENOTDIR" ? "no such file" : `cannot be read (${code})`;
  return new ConfigError([`${file}: ${reason}.`], exitCodes.noInput);
}
