import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import path from "node:path";
import { SetupError } from "../errors.mjs";
import { keyOf } from "../state.mjs";
import { findPython } from "./find-python.mjs";

/** Files of a package from this size on are watched: the shared libraries, which a worker cannot do without. */
const WATCHED_BYTES_MIN = 64 * 1_024;

/**
 * The Python environment, without packages.
 *
 * @param {import("./part.mjs").Context} context
 * @returns {import("./part.mjs").Part}
 */
export function environmentPart({ places, state, run }) {
  const asked = process.env.EMBEDGE_SETUP_PYTHON;
  return {
    name: "environment",
    label: "Python environment",
    after: [],
    // Asked for once is enough: a later start without the variable keeps what is there.
    whyDue: () => state.whyDue("environment", asked),
    async make() {
      const python = await findPython(asked);
      rmSync(places.python, { recursive: true, force: true });
      await run(python.executable, ["-I", "-m", "venv", places.python], { step: "Making the Python environment" });
      state.record("environment", asked ?? "", [places.pythonBinary, path.join(places.python, "pyvenv.cfg")]);
    },
  };
}

/**
 * What the workers import.
 *
 * @param {import("./part.mjs").Context} context
 * @returns {import("./part.mjs").Part}
 */
export function pythonPackagesPart(context) {
  return lockedPackagesPart(context, {
    name: "pythonPackages",
    label: "Python packages (MLX, tokenizers)",
    lock: "python/requirements.lock",
    after: ["environment"],
  });
}

/**
 * What the Python tests and checks need on top.
 *
 * @param {import("./part.mjs").Context} context
 * @returns {import("./part.mjs").Part}
 */
export function pythonTestPackagesPart(context) {
  return lockedPackagesPart(context, {
    name: "pythonTestPackages",
    label: "Python packages for tests",
    lock: "python/requirements-test.lock",
    after: ["pythonPackages"],
  });
}

/**
 * What `embedge models pull` imports. In a folder of its own: the environment of the workers stays as it is.
 *
 * @param {import("./part.mjs").Context} context
 * @returns {import("./part.mjs").Part}
 */
export function hubPackagesPart(context) {
  const { places, state } = context;
  const lock = "python/requirements-hub.lock";
  const key = keyOf([path.join(places.root, lock)]);
  const witness = path.join(places.hub, "huggingface_hub/__init__.py");
  return {
    name: "hub",
    label: "Python packages (model hub)",
    after: ["environment"],
    whyDue: () => state.whyDue("hub", key),
    async make() {
      const step = "Installing the Python packages for the model hub";
      rmSync(places.hub, { recursive: true, force: true });
      await pipInstall(context, { name: "hub", step, lock, args: ["--target", places.hub] });
      state.record("hub", key, [witness]);
    },
  };
}

/**
 * The extra `fast`: compiled loops for the CPU, made for this processor and compared with the plain ones here.
 *
 * @param {import("./part.mjs").Context} context
 * @returns {import("./part.mjs").Part}
 */
export function fastPart(context) {
  const { places, run } = context;
  const script = path.join(places.root, "python/prepare_fast.py");
  return extraPart(context, {
    name: "fast",
    label: "extra `fast` (numba, 64 MB)",
    folder: places.fast,
    witness: "numba/__init__.py",
    words: [script, path.join(places.root, "python/embed_worker/ops/fast.py")],
    check: () => run(places.pythonBinary, ["-I", script, places.fast], { step: "Compiling the loops of `fast`" }),
  });
}

/**
 * The extra `cuda`: MLX for NVIDIA GPUs.
 *
 * @param {import("./part.mjs").Context} context
 * @returns {import("./part.mjs").Part}
 */
export function cudaPart(context) {
  const label = "extra `cuda` (MLX for NVIDIA GPUs, 4 GB)";
  return extraPart(context, { name: "cuda", label, folder: context.places.cuda, witness: "mlx/lib/libmlx.so" });
}

/**
 * Packages in a folder of their own, beside the environment of the workers.
 *
 * @param {import("./part.mjs").Context} context
 * @param {{ name: "fast" | "cuda", label: string, folder: string, witness: string, words?: readonly string[], check?: () => Promise<unknown> }} options
 *   `witness`: a file that is there when the packages are; `words`: files that `check` depends on
 * @returns {import("./part.mjs").Part}
 */
function extraPart(context, { name, label, folder, witness, words = [], check }) {
  const { places, state } = context;
  const lock = `python/requirements-${name}.lock`;
  const key = keyOf([path.join(places.root, lock), ...words]);
  return {
    name,
    label,
    after: ["pythonPackages"],
    inside: "environment",
    receivedBytes: () => receivedBytes(context, name),
    whyDue: () => state.whyDue(name, key),
    async make() {
      rmSync(folder, { recursive: true, force: true });
      await pipInstall(context, { name, step: `Installing the ${label}`, lock, args: ["--target", folder] });
      await check?.();
      state.record(name, key, [path.join(folder, witness)]);
    },
  };
}

/**
 * OpenBLAS under the names that MLX looks for; without it the Linux build of MLX is 10 to 40 times slower.
 *
 * @param {import("./part.mjs").Context} context
 * @returns {import("./part.mjs").Part}
 */
export function blasPart({ places, state, run }) {
  const script = path.join(places.root, "python/prepare_blas.py");
  const key = keyOf([script, path.join(places.root, "python/requirements.lock")]);
  return {
    name: "blas",
    label: "BLAS",
    after: ["pythonPackages"],
    whyDue: () => state.whyDue("blas", key),
    async make() {
      rmSync(places.blas, { force: true });
      await run(places.pythonBinary, ["-I", script, places.blas], { step: "Preparing the BLAS library" });
      state.record("blas", key, [places.blas]);
    },
  };
}

/**
 * Runs the environment's own pip on a lock file with hashes.
 *
 * @param {import("./part.mjs").Context} context
 * @param {{ name: string, step: string, lock: string, args?: readonly string[] }} options `name`: the part it is for
 */
export async function pipInstall({ places, run }, { name, step, lock, args = [] }) {
  // Settings of this user that would send the packages elsewhere; mirrors and certificates stay as they are.
  const {
    PIP_TARGET: _target,
    PIP_PREFIX: _prefix,
    PIP_ROOT: _root,
    PIP_CONSTRAINT: _constraint,
    ...environment
  } = process.env;
  const env = {
    ...environment,
    PIP_USER: "0",
    PIP_NO_INPUT: "1",
    PIP_DISABLE_PIP_VERSION_CHECK: "1",
    TMPDIR: path.join(places.temporary, name),
  };
  mkdirSync(env.TMPDIR, { recursive: true });
  const locked = ["--no-deps", "--require-hashes", "--only-binary", ":all:", "--progress-bar", "off", "--quiet"];
  await run(
    places.pythonBinary,
    ["-I", "-m", "pip", "install", ...locked, ...args, "-r", path.join(places.root, lock)],
    { step, env },
  );
}

/**
 * How much of the wheels pip has on disk so far. They are gone once they are installed.
 *
 * @param {import("./part.mjs").Context} context
 * @param {string} name of the part
 */
export function receivedBytes({ places }, name) {
  const folder = path.join(places.temporary, name);
  if (!existsSync(folder)) return 0;
  const wheels = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".whl"));
  return wheels.reduce(
    (sum, file) => sum + (statSync(path.join(folder, file), { throwIfNoEntry: false })?.size ?? 0),
    0,
  );
}

/**
 * @param {import("./part.mjs").Context} context
 * @param {{ name: string, label: string, lock: string, after: readonly string[] }} options
 * @returns {import("./part.mjs").Part}
 */
function lockedPackagesPart(context, { name, label, lock, after }) {
  const { places, state } = context;
  const key = keyOf([path.join(places.root, lock)]);
  return {
    name,
    label,
    after,
    inside: "environment",
    receivedBytes: () => receivedBytes(context, name),
    whyDue: () => state.whyDue(name, key),
    async make() {
      // --force-reinstall: a package with a file missing still has its version, and pip would leave it so.
      await pipInstall(context, { name, step: `Installing the ${label}`, lock, args: ["--force-reinstall"] });
      state.record(name, key, watchedFiles(places.python));
    },
  };
}

/**
 * Of each installed package its list of files, and its big files.
 *
 * @param {string} python folder of the environment
 */
function watchedFiles(python) {
  const lib = path.join(python, "lib");
  const version = readdirSync(lib).find((name) => name.startsWith("python3"));
  if (version === undefined)
    throw new SetupError("The Python environment is not whole.", { mend: `Remove it: rm -rf ${python}` });
  const sitePackages = path.join(lib, version, "site-packages");
  const records = readdirSync(sitePackages)
    .filter((name) => name.endsWith(".dist-info"))
    .map((name) => path.join(sitePackages, name, "RECORD"));
  const files = records.flatMap((record) =>
    readFileSync(record, "utf8")
      .split("\n")
      .map((line) => path.resolve(sitePackages, line.split(",", 1)[0] ?? ""))
      .filter((file) => (statSync(file, { throwIfNoEntry: false })?.size ?? 0) >= WATCHED_BYTES_MIN)
      .filter((file) => !file.endsWith(".pyc") && statSync(file).isFile()),
  );
  return [...records, ...files];
}
