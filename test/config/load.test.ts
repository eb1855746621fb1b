import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { loadConfig, type LoadedConfig } from "../../runtime/config/load.ts";
import { ConfigError, fileProblem } from "../../runtime/config/problems.ts";

const parent = mkdtempSync(path.join(os.tmpdir(), "embedge-config-"));
let cwd = parent;
beforeEach(() => {
  cwd = mkdtempSync(path.join(parent, "cwd-"));
});
afterAll(() => rmSync(parent, { recursive: true, force: true }));

function load(args: readonly string[] = [], env: Readonly<Record<string, string>> = {}): LoadedConfig {
  return loadConfig({ args, env, cwd });
}

function writeToml(text: string, name = "embedge.toml"): string {
  const file = path.join(cwd, name);
  writeFileSync(file, text);
  return file;
}

function failure(args: readonly string[] = [], env: Readonly<Record<string, string>> = {}): ConfigError {
  try {
    load(args, env);
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
  throw new Error("it was accepted");
}

describe("where a value comes from", () => {
  test("without file, variables and flags every setting has its default", () => {
    const { config, file, origins } = load();
    expect(config.server.port).toBe(8080);
    expect(file).toBeUndefined();
    expect(new Set(origins.values())).toEqual(new Set(["default"]));
  });

  test("the file beats the default, the variable the file, the flag the variable (C04)", () => {
    const file = writeToml("[server]\nport = 1001\nhost = '::1'\n[pool]\npermits = 7\nworkers = 3\n");
    const { config, origins } = load(["--port", "1003"], { EMBEDGE_PORT: "1002", EMBEDGE_PERMITS: "9" });
    expect([config.server.port, config.pool.permits, config.server.host]).toEqual([1003, 9, "::1"]);
    expect(["server.port", "pool.permits", "server.host", "log.level"].map((at) => origins.get(at))).toEqual([
      "--port",
      "EMBEDGE_PERMITS",
      file,
      "default",
    ]);
  });

  test("every setting has a systematic flag and variable beside the short one", () => {
    const { config } = load(["--queue-inputs-max=500"], { EMBEDGE_QUEUE_TOKENS_MAX: "1000", EMBEDGE_SERVER_PORT: "0" });
    expect([config.queue, config.server.port]).toMatchObject([{ inputsMax: 500, tokensMax: 1_000 }, 0]);
  });

  test("the short variable beats the systematic one", () => {
    expect(load([], { EMBEDGE_PORT: "1", EMBEDGE_SERVER_PORT: "2" }).config.server.port).toBe(1);
    expect(load([], { EMBEDGE_SERVER_PORT: "2", EMBEDGE_PORT: "1" }).config.server.port).toBe(1);
  });

  test("the last of two equal flags counts", () => {
    expect(load(["--port", "1", "--port", "2"]).config.server.port).toBe(2);
  });

  test("a switch that is named is on; else it is true or false", () => {
    const isOn = (...args: string[]): boolean => load(args).config.server.allowUnauthenticated;
    expect([isOn(), isOn("--insecure"), isOn("--insecure", "--port", "1"), isOn("--insecure=false")]).toEqual([
      false,
      true,
      true,
      false,
    ]);
    expect(() => load([], { EMBEDGE_INSECURE: "maybe" })).toThrow(
      'EMBEDGE_INSECURE: must be true or false, not "maybe".',
    );
  });

  test("lists come with commas, tables as JSON", () => {
    const { config } = load(["--vars", '{"A":"x,y"}'], {
      EMBEDGE_SERVER_ALLOWED_HOSTS: "a.test, b.test",
    });
    expect(config.server.allowedHosts).toEqual(["a.test", "b.test"]);
    expect(config.vars).toEqual({ A: "x,y" });
  });

  test("entries of a table are added to those of the file", () => {
    writeToml("[models.aliases]\n'a/b' = 'default'\nc = 'default'\n");
    const { config } = load([], { EMBEDGE_MODELS_ALIASES: '{"c":"d"}' });
    expect(config.models.aliases).toEqual({ "a/b": "default", c: "d" });
  });

  test("EMBEDGE_CONFIG names the file, --config beats it", () => {
    writeToml("[server]\nport = 1\n", "one.toml");
    writeToml("[server]\nport = 2\n", "two.toml");
    expect(load([], { EMBEDGE_CONFIG: "one.toml" }).config.server.port).toBe(1);
    expect(load(["--config", "two.toml"], { EMBEDGE_CONFIG: "one.toml" }).config.server.port).toBe(2);
  });

  test("a path in the file starts at the file, one in a flag at the working directory", () => {
    mkdirSync(path.join(cwd, "sub"));
    writeToml("[functions]\ndir = 'fns'\n[models]\ndefault = './m'\n", "sub/embedge.toml");
    const { config } = load(["--config", "sub/embedge.toml", "--model", "./other"]);
    expect(config.functions.dir).toBe(path.join(cwd, "sub/fns"));
    expect(config.models.default).toBe(path.join(cwd, "other"));
  });

  test("the name of a model and of a program stay names", () => {
    const { config } = load(["--model", "all-MiniLM-L6-v2", "--pool-python", "python3.12"]);
    expect([config.models.default, config.pool.python]).toEqual(["all-MiniLM-L6-v2", "python3.12"]);
  });

  test("variables that Kubernetes makes for a service called embedge are no settings", () => {
    const links = {
      EMBEDGE_PORT: "tcp://10.0.0.1:80",
      EMBEDGE_SERVICE_HOST: "10.0.0.1",
      EMBEDGE_PORT_80_TCP: "tcp://10.0.0.1:80",
    };
    expect(load([], links).config.server.port).toBe(8080);
  });
});

describe("problems", () => {
  test("every one is reported at once, with the nearest name (C02)", () => {
    const file = writeToml("prot = 1\n[server]\nbody_bytes_max = 1\n[queue]\ninputsMax = 'many'\n");
    const { problems, exitCode } = failure(["--permits", "0", "--log-levl", "info"], { EMBEDGE_PERMITZ: "4" });
    expect(exitCode).toBe(78);
    expect(problems.toSorted()).toEqual(
      [
        "--log-levl: no such flag; the nearest is --log-level.",
        "EMBEDGE_PERMITZ: no such setting; the nearest is EMBEDGE_PERMITS.",
        "--permits: must be a whole number from 1 to 64, not 0.",
        `${file}: queue.inputsMax: must be a whole number from 1 to 10000000, not "many".`,
        `${file}: server.body_bytes_max: no such setting; the nearest is server.bodyBytesMax.`,
        `${file}: prot: no such setting; the nearest is server.port.`,
      ].toSorted(),
    );
  });

  test("an unknown flag alone is a usage error: 64", () => {
    const { problems, exitCode } = failure(["--prot", "8080"]);
    expect([exitCode, problems]).toEqual([64, ["--prot: no such flag; the nearest is --port."]]);
  });

  test("a flag without its value is not given the next flag", () => {
    expect(failure(["--port", "--host", "::1"]).problems).toEqual([
      "--port: needs a value, a whole number from 0 to 65535.",
    ]);
  });

  test("a stray word is an unexpected argument", () => {
    expect(failure(["8080"]).problems).toEqual([
      '"8080": unexpected argument. With npm, flags follow "--": npm start -- --port 9090',
    ]);
  });

  test("bad TOML is told with file, line and column, and without the line's text (C01)", () => {
    const file = writeToml('[vars]\nKEY = "secret-value\n');
    const { problems, exitCode } = failure();
    expect(exitCode).toBe(78);
    expect(problems[0]).toMatch(new RegExp(`^${file}:2:\\d+: not TOML: `));
    expect(problems[0]).not.toContain("secret-value");
  });

  test("the value of a variable for functions is never quoted (I12)", () => {
    writeToml("[vars]\nKEY = 12345\n");
    expect(failure().problems).toEqual([`${path.join(cwd, "embedge.toml")}: vars.KEY: must be a text.`]);
  });

  test("a table in a variable names the entry that is wrong", () => {
    expect(failure([], { EMBEDGE_VARS: '{"KEY":1}' }).problems).toEqual(["EMBEDGE_VARS: KEY: must be a text."]);
  });

  test("a section that is no table is told so", () => {
    writeToml("server = 3\n");
    expect(failure().problems).toEqual([`${path.join(cwd, "embedge.toml")}: server: must be a section, [server].`]);
  });

  test("settings that contradict each other are refused", () => {
    expect(failure(["--server-request-timeout-ms", "700000"]).problems).toEqual([
      "--server-request-timeout-ms: must not be longer than server.requestTimeoutMsMax.",
    ]);
    expect(failure(["--queue-inputs-max", "10"]).problems).toHaveLength(1);
  });

  test.each([
    ["missing", "nowhere.toml"],
    ["a folder", "."],
  ])("a file that is %s: 66 (C03)", (_, name) => {
    expect(failure(["--config", name]).exitCode).toBe(66);
  });

  test("a file of 1 GB is not read: 66 (C03)", () => {
    truncateSync(writeToml(""), 2 ** 30);
    expect(failure().exitCode).toBe(66);
  });

  test("a file that may not be read: 77 (C03)", () => {
    const denied = Object.assign(new Error("denied"), { code: "EACCES" });
    expect(fileProblem("embedge.toml", denied).exitCode).toBe(77);
  });

  test("a file that is not UTF-8: 78", () => {
    writeFileSync(path.join(cwd, "embedge.toml"), Buffer.from([0xff, 0xfe, 0x41]));
    expect(failure().problems[0]).toMatch(/not UTF-8/);
  });
});
