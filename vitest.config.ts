import { defineConfig, type ViteUserConfig } from "vitest/config";

/** Real processes, weights, sockets and set-ups: slower, and one file at a time, since they measure time and use the cores. */
const real = ["test/acceptance/**/*.test.ts", "test/process/**/*.test.ts", "test/**/*.real.test.ts"];

const config: ViteUserConfig = defineConfig({
  test: {
    retry: 0,
    projects: [
      {
        test: {
          name: "fast",
          include: ["test/**/*.test.ts"],
          exclude: real,
          testTimeout: 5_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: "real",
          include: real,
          testTimeout: 60_000,
          hookTimeout: 60_000,
          fileParallelism: false,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});

export default config;
