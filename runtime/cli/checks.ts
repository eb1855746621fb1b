import { execFile } from "node:child_process";
import { existsSync, statfsSync } from "node:fs";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { availableParallelism } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { z } from "zod";
import {
  fastFolderOf,
  installation,
  machineMemoryBytes,
  modelsDirOf,
  packageRoot,
  pythonOf,
  sizePool,
  thisMachine,
} from "../config/installation.ts";
import { findModelFolder } from "../config/model-folder.ts";
import { ConfigError, exitCodes } from "../config/problems.ts";
import type { Config } from "../config/schema.ts";
import { runModels } from "../models-command.ts";
import { computeOf } from "../pool/compute.ts";

/** What a check found. */
export interface Finding {
  readonly name: string;
  readonly state: "ok" | "warn" | "fail";
  readonly text: string;
  /** What to do about it. */
  readonly mend?: string;
  /** Of sysexits.h, where it failed. */
  readonly exitCode?: number;
}

const run = promisify(execFile);
const GIB = 2 ** 30;
const DISK_BYTES_WARN = GIB;
const DISK_BYTES_FAIL = GIB / 10;
/** What a worker with the default model needs at its peak. */
const WORKER_BYTES = GIB;
const PYTHON_MS_MAX = 60_000;
const ANSWER_MS_MAX = 2_000;
const WITH_FAST = ", with the extra fast";
const SET_UP = "Start embedge (npm start, or npx embedge serve): it sets up again what is missing.";

/** Whether this Node runs the sources. */
export function checkNode(version: string = process.versions.node): Finding {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const text = `Node ${version}, ${process.execPath}`;
  if (major > 22 || (major === 22 && minor >= 18)) return { name: "node", state: "ok", text };
  const mend = "Install Node 24: https://nodejs.org/en/download";
  return { name: "node", state: "fail", text, mend, exitCode: exitCodes.config };
}

/** Cores and memory against the workers that the settings want. */
export function checkMachine(config: Config): readonly Finding[] {
  const { workers, device } = sizePool(config, thisMachine());
  const cores = availableParallelism();
  const memory = machineMemoryBytes();
  const tight = memory < workers * WORKER_BYTES;
  return [
    {
      name: "cores",
      state: device === "cpu" && workers > cores ? "warn" : "ok",
      text: `${cores} for ${workers} worker(s) on the ${device}`,
      ...(workers > cores && { mend: "Set pool.workers to the number of cores or less." }),
    },
    {
      name: "memory",
      state: tight ? "warn" : "ok",
      text: `${(memory / GIB).toFixed(1)} GiB for ${workers} worker(s)`,
      ...(tight && { mend: "Set pool.workers to fewer: each may need 1 GiB, and more with a larger model." }),
    },
  ];
}

/** Room where models and packages are kept. */
export function checkDisk(folder: string = installation.home): Finding {
  const there = existsSync(folder) ? folder : packageRoot;
  const { bavail, bsize } = statfsSync(there);
  const free = bavail * bsize;
  const text = `${(free / GIB).toFixed(1)} GiB free in ${there}`;
  if (free >= DISK_BYTES_WARN) return { name: "disk", state: "ok", text };
  const mend = "Make room: the set-up needs about 1 GiB, a larger model more.";
  const state = free < DISK_BYTES_FAIL ? "fail" : "warn";
  return { name: "disk", state, text, mend, exitCode: exitCodes.unavailable };
}

/** Whether the host could listen; a port on which embedge answers already is well. */
export async function checkPort({ server: { host, port } }: Config): Promise<Finding> {
  const [name, place] = ["port", `${host}:${port}`];
  const code = await listenFailure(host, port);
  if (code === undefined) return { name, state: "ok", text: `${place} is free` };
  if (code === "EADDRINUSE") {
    if (await isEmbedge(host, port)) return { name, state: "ok", text: `embedge answers on ${place}` };
    const mend = "Stop the program that listens there, or set server.port to another one.";
    return { name, state: "fail", text: `${place} is in use`, mend, exitCode: exitCodes.unavailable };
  }
  const mend = "Set server.host to an address of this machine, and server.port to one that this user may open.";
  return { name, state: "fail", text: `${place} cannot be opened (${code})`, mend, exitCode: exitCodes.unavailable };
}

/** The code of the error; undefined where it could be opened. */
function listenFailure(host: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? "unknown"));
    server.listen(port, host, () => server.close(() => resolve(undefined)));
  });
}

async function isEmbedge(host: string, port: number): Promise<boolean> {
  const name = host.includes(":") ? `[${host}]` : host;
  try {
    const response = await fetch(`http://${name}:${port}/healthz`, { signal: AbortSignal.timeout(ANSWER_MS_MAX) });
    return ((await response.json()) as { readonly status?: unknown }).status === "ok";
  } catch {
    return false;
  }
}

/** The files of the model, each compared with its pinned hash. */
export async function checkModel(config: Config): Promise<Finding> {
  const name = "model";
  const modelsDir = modelsDirOf(config);
  try {
    const model = findModelFolder(config.models.default, modelsDir);
    const lines: string[] = [];
    const isInstalled = path.dirname(path.resolve(model.folder)).startsWith(path.resolve(modelsDir));
    if (isInstalled) {
      await runModels({ words: ["verify", model.name], modelsDir, print: (line) => void lines.push(line) });
    }
    return { name, state: "ok", text: lines[0] ?? `${model.folder}: has no pinned hashes` };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const mend =
      "Get the model again: embedge models pull NAME, or for the default one remove its folder and start embedge.";
    return { name, state: "fail", text: error.problems.join(" "), mend, exitCode: error.exitCode };
  }
}

/** Whether `embedge dev --miniflare` could run here. */
export function checkWrangler(cwd: string): Finding {
  for (const folder of [cwd, packageRoot]) {
    try {
      const file = createRequire(path.join(folder, "package.json")).resolve("wrangler/package.json");
      return { name: "wrangler", state: "ok", text: path.dirname(file) };
    } catch {
      // Looked for in the next folder.
    }
  }
  return { name: "wrangler", state: "ok", text: "not installed; only embedge dev --miniflare needs it" };
}

const problem = z.object({ problem: z.string() });
const diagnosisSchema = z.object({
  python: z.object({ version: z.string(), executable: z.string() }),
  packages: z.union([z.object({ right: z.int(), wrong: z.array(z.string()) }), problem]),
  compute: z.union([
    z.object({
      mlx: z.string(),
      device: z.string(),
      fast: z.boolean(),
      blas: z.object({ name: z.string(), gflops: z.number() }),
    }),
    problem,
  ]),
});

/** The Python of the workers: its packages, MLX, BLAS and the extra `fast`. */
export async function checkPython({ pool }: Config): Promise<readonly Finding[]> {
  const python = pythonOf(pool);
  const fastFolder = fastFolderOf(pool);
  const blas = pool.blas === "auto" ? installation.blas : pool.blas;
  const isBlasMissing = pool.blas !== "none" && process.platform === "linux" && !existsSync(blas);
  const args = ["-I", path.join(packageRoot, "python/diagnose.py"), path.join(packageRoot, "python/requirements.lock")];
  if (existsSync(blas) && pool.blas !== "none") args.push("--blas", blas);
  if (fastFolder !== undefined) args.push("--fast", fastFolder);
  // As in a worker: one thread, whatever the shell says.
  const env = { ...process.env, OPENBLAS_NUM_THREADS: "1", OMP_NUM_THREADS: "1" };
  let output: string;
  try {
    ({ stdout: output } = await run(python, args, { env, timeout: PYTHON_MS_MAX }));
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "unknown";
    const text = `${python} does not run (${code})`;
    return [{ name: "python", state: "fail", text, mend: SET_UP, exitCode: exitCodes.unavailable }];
  }
  const findings = describeDiagnosis(diagnosisSchema.parse(JSON.parse(output)), isBlasMissing ? blas : undefined);
  if (fastFolder === undefined || findings.some(({ text }) => text.endsWith(WITH_FAST))) return findings;
  const mend = `Remove ${fastFolder}, or install it again: npm run setup -- --fast (embedge setup --fast)`;
  return [
    ...findings,
    { name: "fast", state: "warn", text: "the extra fast is installed and does not work here", mend },
  ];
}

function describeDiagnosis(
  { python, packages, compute }: z.infer<typeof diagnosisSchema>,
  missingBlas: string | undefined,
): readonly Finding[] {
  const findings: Finding[] = [{ name: "python", state: "ok", text: `Python ${python.version}, ${python.executable}` }];
  const fail = (name: string, text: string): void =>
    void findings.push({ name, state: "fail", text, mend: SET_UP, exitCode: exitCodes.unavailable });
  if ("problem" in packages) fail("packages", packages.problem);
  else if (packages.wrong.length > 0) fail("packages", packages.wrong.join("; "));
  else
    findings.push({ name: "packages", state: "ok", text: `${packages.right} as python/requirements.lock pins them` });
  if ("problem" in compute) {
    fail("mlx", compute.problem);
    return findings;
  }
  const { mlx, device, fast } = compute;
  findings.push({
    name: "mlx",
    state: "ok",
    text: `MLX ${mlx} on the ${device}${fast ? WITH_FAST : ""}`,
  });
  const { blas } = computeOf({ device: "cpu", blas: compute.blas });
  const text = `${blas?.name}, ${blas?.gflops} GFLOP/s`;
  if (missingBlas !== undefined) {
    fail("blas", `${missingBlas} is missing: ${text}`);
  } else if (blas?.slow === true) {
    findings.push({
      name: "blas",
      state: "warn",
      text: `slow: ${text}`,
      mend: "Set pool.blas to auto, and start embedge.",
    });
  } else findings.push({ name: "blas", state: "ok", text });
  return findings;
}
