import { describe, expect, test } from "vitest";

import { workerCommandLine, workerEnvironment, type WorkerCommandOptions } from "../../runtime/pool/worker-command.ts";

const options: WorkerCommandOptions = {
  command: ["/env/bin/python", "-I", "-u", "/app/python/embed_worker/__main__.py"],
  modelFolder: "/models/mini lm",
  model: "mini",
  device: "auto",
  budgetTokens: 512,
  frameBytesMax: 1_000,
};

describe("the command line of a worker", () => {
  test("is the command and its flags, each a word of its own", () => {
    const flags = ["--model", "/models/mini lm", "--name", "mini", "--device", "auto"];
    const limits = ["--budget-tokens", "512", "--body-bytes-max", "1000"];
    expect(workerCommandLine(options, undefined)).toEqual([...options.command, ...flags, ...limits]);
  });

  test("names the BLAS and the core where there are such", () => {
    const line = workerCommandLine({ ...options, blasPath: "/lib/blas.so" }, 0);
    expect(line.slice(-4)).toEqual(["--blas", "/lib/blas.so", "--core", "0"]);
  });
});

describe("the environment of a worker", () => {
  const host = { PATH: "/bin", HOME: "/home/me", AWS_SECRET: "canary", NODE_OPTIONS: "-r x", PYTHONPATH: "/evil" };

  test("takes from the host what is on the allow list, and nothing else (S14)", () => {
    const environment = workerEnvironment({ ...host, MLX_METAL_JIT: "1", LANG: undefined }, "auto", "darwin");
    expect(environment).toEqual({
      PATH: "/bin",
      HOME: "/home/me",
      MLX_METAL_JIT: "1",
      OPENBLAS_NUM_THREADS: "1",
      OMP_NUM_THREADS: "1",
      TOKENIZERS_PARALLELISM: "false",
      HF_HUB_OFFLINE: "1",
      TRANSFORMERS_OFFLINE: "1",
    });
  });

  test("keeps MLX from compiling on the CPU, unless the host says otherwise", () => {
    expect(workerEnvironment(host, "cpu", "darwin")).toMatchObject({ MLX_DISABLE_COMPILE: "1" });
    expect(workerEnvironment(host, "auto", "linux")).toMatchObject({ MLX_DISABLE_COMPILE: "1" });
    const told = { ...host, MLX_DISABLE_COMPILE: "0" };
    expect(workerEnvironment(told, "cpu", "linux")).toMatchObject({ MLX_DISABLE_COMPILE: "0" });
  });

  test("keeps glibc on Linux from giving each buffer back to the kernel", () => {
    expect(workerEnvironment(host, "cpu", "linux")).toMatchObject({ MALLOC_TOP_PAD_: "67108864" });
    expect(workerEnvironment(host, "cpu", "darwin")).not.toHaveProperty("MALLOC_TOP_PAD_");
  });
});
