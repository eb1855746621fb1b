import { spawnSync } from "node:child_process";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { checkPython } from "../../runtime/cli/checks.ts";
import { configSchema } from "../../runtime/config/schema.ts";

const root = path.join(import.meta.dirname, "../..");

/** As a person runs it. */
function doctor(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const command = ["runtime/cli.ts", "doctor", "--port", "0", ...args];
  const { status, stdout } = spawnSync(process.execPath, command, {
    cwd: root,
    encoding: "utf8",
    env: { ...process.env, ...env },
  });
  return { status, stdout };
}

describe("doctor", () => {
  test("finds nothing wrong here, and says what it has seen", () => {
    const { status, stdout } = doctor([]);
    expect({ status, stdout }).toMatchObject({ status: 0 });
    for (const seen of [
      "Node 2",
      "Python 3",
      "requirements.lock",
      "MLX 0",
      "GFLOP/s",
      "as it was pulled",
      "GiB free",
    ]) {
      expect(stdout).toContain(seen);
    }
  });

  test("tells the same as JSON", () => {
    const { findings } = JSON.parse(doctor(["--json"]).stdout) as { findings: readonly { name: string }[] };
    expect(findings.map(({ name }) => name)).toEqual(
      expect.arrayContaining(["node", "settings", "python", "packages", "mlx", "blas", "model", "port", "wrangler"]),
    );
  });

  test("fails where a setting is wrong, names it, and looks at the rest all the same: 78", () => {
    const { status, stdout } = doctor([], { EMBEDGE_POOL_PERMITS: "many" });
    expect(status).toBe(78);
    expect(stdout).toMatch(/^fail {2}settings .*permits/im);
    expect(stdout).toMatch(/^ok {4}model/m);
  });
});

describe("the Python of the workers", () => {
  const check = (pool: object) => checkPython(configSchema.parse({ pool }));

  test("fails where there is none", async () => {
    const [finding] = await check({ python: "/nowhere/python" });
    expect(finding).toMatchObject({ name: "python", state: "fail", exitCode: 69 });
  });

  test("fails where its packages are not there", async () => {
    // The Python of the system has none of them.
    const findings = await check({ python: "python3" });
    expect(findings).toContainEqual(expect.objectContaining({ name: "mlx", state: "fail" }));
  });

  test.runIf(process.platform === "linux")("fails where the BLAS is missing, with the speed without it", async () => {
    const findings = await check({ blas: "/nowhere/libcblas.so" });
    const text = expect.stringMatching(/libcblas.so is missing: .* [\d.]+ GFLOP\/s/);
    expect(findings).toContainEqual(expect.objectContaining({ name: "blas", state: "fail", text }));
  });
});
