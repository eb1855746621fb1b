import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { loadConfig, settleSettings } from "../../runtime/config/load.ts";
import type { Settings } from "../../runtime/config/schema.ts";

const cwd = mkdtempSync(path.join(os.tmpdir(), "embedge-settings-"));
afterAll(() => rmSync(cwd, { recursive: true, force: true }));
writeFileSync(
  path.join(cwd, "embedge.toml"),
  '[server]\nport = 9000\n[models.aliases]\nsmall = "default"\n[functions]\ndir = "fns"\n',
);

const defaults = loadConfig({ args: [], env: {}, cwd: path.parse(cwd).root }).config;

/** What it throws, as text. */
function problemsOf(settings: Settings): string {
  try {
    settleSettings(settings, cwd);
    return "";
  } catch (error) {
    return String(error);
  }
}

describe("the settings of a program", () => {
  test("need not be given: a file in the working directory is not read", () => {
    expect(settleSettings({}, cwd).server).toEqual(defaults.server);
  });

  test("may be any part of those of embedge.toml; undefined is not given", () => {
    const { server, pool } = settleSettings({ server: { port: 1 }, pool: undefined }, cwd);
    expect([server, pool]).toEqual([{ ...defaults.server, port: 1 }, defaults.pool]);
  });

  test("are stronger than those of the file they name, and add to its tables", () => {
    const settings = { configFile: "embedge.toml", server: { port: 1 }, models: { aliases: { large: "default" } } };
    const { server, models } = settleSettings(settings, cwd);
    expect([server.port, models.aliases]).toEqual([1, { small: "default", large: "default" }]);
  });

  test("have paths that start at the working directory, those of the file at the file", () => {
    const configFile = path.join(cwd, "embedge.toml");
    expect(settleSettings({ configFile }, "/elsewhere").functions.dir).toBe(path.join(cwd, "fns"));
    expect(settleSettings({ functions: { dir: "mine" } }, "/elsewhere").functions.dir).toBe("/elsewhere/mine");
  });

  test("may be a whole configuration, which stays what it is", () => {
    const { config } = loadConfig({ args: ["--port", "7"], env: {}, cwd });
    expect(settleSettings(config, "/elsewhere")).toEqual(config);
  });

  test("that are wrong are all named at once", () => {
    const wrong = { server: { prot: 1, port: -1 }, modles: {}, limits: 7 } as unknown as Settings;
    expect(problemsOf(wrong).split("\n")).toEqual([
      "ConfigError: server.prot: no such setting; the nearest is server.port.",
      "modles: no such setting; the nearest is models.",
      "limits: must be a section, an object.",
      "server.port: must be a whole number from 0 to 65535, not -1.",
    ]);
  });
});
