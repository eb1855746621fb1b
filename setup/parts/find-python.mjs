import { execFile } from "node:child_process";
import { SetupError } from "../errors.mjs";

/**
 * What a Python says of itself.
 *
 * @typedef {object} PythonReport
 * @property {[number, number, number]} version
 * @property {string} implementation
 * @property {number} bits
 * @property {string} platform `sys.platform`
 * @property {string} machine
 * @property {boolean} musl
 * @property {string} glibc its version; empty where there is none
 * @property {boolean} freeThreaded
 * @property {boolean} ensurepip whether a virtual environment can be made
 * @property {string} executable
 *
 * @typedef {{ name: string, report?: PythonReport | undefined, problem?: string | undefined }} Probe
 */

/** Those that the locked packages are built for. */
const MINOR_VERSIONS = [14, 13, 12, 11, 10];
/** What MLX's Linux packages are built for. */
const GLIBC_MIN = "2.35";
/** Usually a probe takes 0.1 s; on a busy machine with a cold disk it may take seconds. */
const PROBE_MS_MAX = 15_000;

const PROBE = `
import importlib.util, json, platform, struct, sys, sysconfig
print(json.dumps({
    "version": sys.version_info[:3],
    "implementation": platform.python_implementation(),
    "bits": struct.calcsize("P") * 8,
    "platform": sys.platform,
    "machine": platform.machine(),
    "musl": "musl" in (sysconfig.get_config_var("SOABI") or ""),
    "glibc": platform.libc_ver()[1],
    "freeThreaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    "ensurepip": all(importlib.util.find_spec(name) for name in ("venv", "ensurepip")),
    "executable": sys.executable,
}))
`;

/**
 * The first Python that can run the workers. Throws a SetupError that says of each one tried why it cannot.
 *
 * @param {string | undefined} asked the only one to try, if there is one
 * @param {number} [probeMsMax] time that each one has to answer
 * @returns {Promise<PythonReport>}
 */
export async function findPython(asked, probeMsMax = PROBE_MS_MAX) {
  const versioned = MINOR_VERSIONS.map((minor) => `python3.${minor}`);
  const names = asked === undefined || asked === "" ? [...versioned, "python3", "python"] : [asked];
  /** @type {Probe[]} */
  const unfit = [];
  for (const name of names) {
    const { report, problem } = await probe(name, probeMsMax);
    if (report !== undefined && whyUnfit(report) === undefined) return report;
    unfit.push({ name, report, problem });
  }
  throw noPython(unfit);
}

/**
 * Undefined when the workers can run on this Python; else why not, as the end of a sentence about it.
 *
 * @param {PythonReport} report
 * @returns {string | undefined}
 */
export function whyUnfit(report) {
  const { version, implementation, bits, platform, machine, musl, glibc, freeThreaded, ensurepip } = report;
  const [major, minor] = version;
  if (major !== 3 || minor < 10) return `is ${version.join(".")}; 3.10 or later is needed`;
  if (minor > 14) return `is ${version.join(".")}; the packages are built for 3.10 to 3.14`;
  if (implementation !== "CPython") return `is ${implementation}; CPython is needed`;
  if (bits !== 64) return `is a ${bits}-bit program; a 64-bit one is needed`;
  if (freeThreaded) return "is a free-threaded build; the usual one is needed";
  if (platform === "darwin" && machine !== "arm64") {
    return `is built for ${machine}; MLX has packages for Apple silicon (arm64) only, so on an Intel Mac use Linux in a virtual machine or a container`;
  }
  if (platform === "linux" && machine !== "x86_64" && machine !== "aarch64")
    return `is built for ${machine}; x86_64 or aarch64 is needed`;
  if (platform !== "linux" && platform !== "darwin") return `runs on ${platform}; Linux or macOS is needed`;
  if (musl)
    return "uses musl (as on Alpine); MLX has packages for glibc only, so use a Debian, Ubuntu or Fedora system or image";
  if (platform === "linux" && isOlder(glibc, GLIBC_MIN)) {
    return `runs on glibc ${glibc}; MLX needs ${GLIBC_MIN} or later, as in Debian 12, Ubuntu 22.04 or Fedora 36`;
  }
  if (!ensurepip)
    return `cannot make virtual environments; on Debian or Ubuntu: sudo apt install python${major}.${minor}-venv`;
  return undefined;
}

/**
 * @param {string} name
 * @param {number} probeMsMax
 * @returns {Promise<Probe>}
 */
function probe(name, probeMsMax) {
  return new Promise((resolve) => {
    execFile(name, ["-I", "-c", PROBE], { timeout: probeMsMax, killSignal: "SIGKILL" }, (error, stdout) => {
      if (error === null) return resolve({ name, ...parseReport(stdout) });
      if (error.code === "ENOENT") return resolve({ name });
      const reason = error.killed ? `gave no answer in ${probeMsMax / 1_000} s` : "does not start";
      resolve({ name, problem: reason });
    });
  });
}

/**
 * Compares "major.minor"; an unknown version is not held to be old.
 *
 * @param {string} version
 * @param {string} minimum
 */
function isOlder(version, minimum) {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const [majorMin = 0, minorMin = 0] = minimum.split(".").map(Number);
  return version !== "" && (major < majorMin || (major === majorMin && minor < minorMin));
}

/** @param {string} text @returns {Omit<Probe, "name">} */
function parseReport(text) {
  try {
    return { report: JSON.parse(text) };
  } catch {
    return { problem: "is not Python" };
  }
}

/** @param {readonly Probe[]} probes */
function noPython(probes) {
  const lines = probes.map(({ name, report, problem }) => {
    if (report === undefined) return `${name}: ${problem ?? "not found"}`;
    return `${name} (${report.executable}) ${whyUnfit(report)}`;
  });
  const install = process.platform === "darwin" ? "brew install python@3.13" : "sudo apt install python3 python3-venv";
  return new SetupError("No Python that can run the workers: Python 3.10 to 3.14 is needed.", {
    output: lines,
    mend: `Install one (for example: ${install}) or name one: EMBEDGE_SETUP_PYTHON=/path/to/python3 npm start`,
  });
}
