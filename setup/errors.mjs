/** Exit codes of sysexits.h. */
export const exitCodes = { unavailable: 69, internal: 70, cannotWrite: 73, noPermission: 77, config: 78 };

/** Why the set-up cannot go on: one sentence that says what is missing, and what mends it. */
export class SetupError extends Error {
  /**
   * @param {string} message
   * @param {{ exitCode?: number, mend?: string, output?: readonly string[] }} [details] `mend`: what to do; `output`: the last lines of the program that failed
   */
  constructor(message, { exitCode = exitCodes.unavailable, mend = "", output = [] } = {}) {
    super(message);
    this.name = "SetupError";
    this.exitCode = exitCode;
    this.mend = mend;
    this.output = output;
  }
}

/**
 * What programs print when something outside them is wrong. The first that fits names the cause.
 *
 * @type {readonly { pattern: RegExp, message: string, mend: string, exitCode?: number }[]}
 */
const causes = [
  {
    pattern: /ENOSPC|No space left on device/,
    message: "The disk is full.",
    mend: "Make about 1 GB free, then run the same command again.",
    exitCode: exitCodes.cannotWrite,
  },
  {
    pattern: /EROFS|Read-only file system/,
    message: "The folder is on a read-only file system.",
    mend: "Clone embedge to a folder that can be written to.",
    exitCode: exitCodes.cannotWrite,
  },
  {
    pattern: /EACCES|EPERM|Permission denied/,
    message: "This user may not write to a folder that the set-up needs.",
    mend: 'Make the files yours, for example with: sudo chown -R "$(id -un)" . ~/.npm',
    exitCode: exitCodes.noPermission,
  },
  {
    pattern: /EINTEGRITY|DO NOT MATCH THE HASHES/,
    message: "A downloaded package is not the one that the lock file names.",
    mend: "Clear the caches with `npm cache clean --force` and `python3 -m pip cache purge`, then run the same command again. If it stays, the registry or a proxy changes packages: do not use it.",
  },
  {
    pattern: /CERT_|certificate|SELF_SIGNED/i,
    message: "The package registry's certificate is not trusted here; often a company proxy is the reason.",
    mend: "Point NODE_EXTRA_CA_CERTS (npm) and PIP_CERT (pip) to the proxy's certificate.",
  },
  {
    pattern: /E401|E403|401 |403 |407 /,
    message: "The package registry refused access.",
    mend: "Check `npm config get registry`, `python3 -m pip config list` and the proxy's log-in.",
  },
  {
    pattern:
      /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|NewConnectionError|NameResolutionError|Max retries|timed out/,
    message: "The package registry cannot be reached.",
    mend: "Check the network, and behind a proxy HTTPS_PROXY; then run the same command again. What is done already is kept.",
  },
  {
    pattern: /No matching distribution|not a supported wheel/,
    message: "There is no package for this Python and this machine.",
    mend: "Use Python 3.10 to 3.14 on Linux (x86_64, aarch64; glibc) or on a Mac with Apple silicon: EMBEDGE_SETUP_PYTHON=/path/to/python3 npm start",
  },
];

/**
 * The failure of a program, explained where its output tells the cause.
 *
 * @param {string} step what was being done, as the start of a sentence
 * @param {readonly string[]} output its last lines
 * @returns {SetupError}
 */
export function explainFailure(step, output) {
  const text = output.join("\n");
  const cause = causes.find(({ pattern }) => pattern.test(text));
  if (cause === undefined) {
    return new SetupError(`${step} failed.`, {
      output,
      mend: "Run the same command again; if it stays, report it with these lines.",
    });
  }
  const { message, mend, exitCode } = cause;
  return new SetupError(`${step} failed. ${message}`, {
    output,
    mend,
    ...(exitCode === undefined ? {} : { exitCode }),
  });
}

/**
 * Anything thrown, as a SetupError.
 *
 * @param {unknown} error
 * @returns {SetupError}
 */
export function toSetupError(error) {
  if (error instanceof SetupError) return error;
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  if (code !== "") return explainFailure("Writing to the project's folder", [String(error)]);
  const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return new SetupError("The set-up has a bug.", {
    exitCode: exitCodes.internal,
    mend: "Please report it.",
    output: stack.split("\n"),
  });
}
