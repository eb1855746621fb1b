export type Device = "auto" | "cpu" | "gpu";

export interface WorkerCommandOptions {
  /** The interpreter and what leads up to the worker's own flags: `[python, "-I", "-u", ".../embed_worker/__main__.py"]`. */
  readonly command: readonly [file: string, ...args: string[]];
  readonly modelFolder: string;
  /** What the model is called. */
  readonly model: string;
  readonly device: Device;
  /** A BLAS library to load in front of MLX's own. */
  readonly blasPath?: string | undefined;
  /** Folders of the extras to use. */
  readonly fastFolder?: string | undefined;
  readonly cudaFolder?: string | undefined;
  /** Padded tokens of one micro-batch inside the worker. */
  readonly budgetTokens: number;
  /** Longest batch in bytes, as JSON. */
  readonly frameBytesMax: number;
}

/** The whole command line of a worker; `core` pins it to that core. */
export function workerCommandLine(options: WorkerCommandOptions, core: number | undefined): [string, ...string[]] {
  const { command, modelFolder, model, device, blasPath } = options;
  const flags = ["--model", modelFolder, "--name", model, "--device", device];
  flags.push("--budget-tokens", String(options.budgetTokens), "--body-bytes-max", String(options.frameBytesMax));
  if (blasPath !== undefined) flags.push("--blas", blasPath);
  if (options.fastFolder !== undefined) flags.push("--fast", options.fastFolder);
  if (options.cudaFolder !== undefined) flags.push("--cuda", options.cudaFolder);
  if (core !== undefined) flags.push("--core", String(core));
  return [...command, ...flags];
}

const PASSED_ON = new Set(["PATH", "HOME", "LANG", "LC_ALL", "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"]);

/** The environment of a worker: an allow list of the host's, so that no secret of the host reaches it, and what makes MLX fast and offline. */
export function workerEnvironment(
  host: Readonly<Record<string, string | undefined>>,
  device: Device,
  platform: NodeJS.Platform,
): Record<string, string> {
  const environment: Record<string, string> = {
    // One process per core: threads of BLAS and of the tokenizer would fight over it.
    OPENBLAS_NUM_THREADS: "1",
    OMP_NUM_THREADS: "1",
    TOKENIZERS_PARALLELISM: "false",
    HF_HUB_OFFLINE: "1",
    TRANSFORMERS_OFFLINE: "1",
  };
  // mx.compile on the CPU calls a C++ compiler for each new shape and gains nothing.
  if (device === "cpu" || (device === "auto" && platform !== "darwin")) environment["MLX_DISABLE_COMPILE"] = "1";
  if (platform === "linux") {
    // By default glibc gives each large buffer back to the kernel at once: tens of thousands of page faults per batch.
    environment["MALLOC_MMAP_THRESHOLD_"] = "4294967296";
    environment["MALLOC_TRIM_THRESHOLD_"] = "8589934592";
    environment["MALLOC_TOP_PAD_"] = "67108864";
  }
  for (const [name, value] of Object.entries(host)) {
    if (value !== undefined && (PASSED_ON.has(name) || name.startsWith("MLX_"))) environment[name] = value;
  }
  return environment;
}
