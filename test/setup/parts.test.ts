import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { explainFailure, toSetupError } from "../../setup/errors.mjs";
import { findPython, whyUnfit, type PythonReport } from "../../setup/parts/find-python.mjs";
import { firstWrongFile } from "../../setup/parts/model.mjs";
import { linkOwnNode, runsTypeScript } from "../../setup/parts/node.mjs";
import { selectEntries, whyIncomplete } from "../../setup/parts/packages.mjs";
import type { Part } from "../../setup/parts/part.mjs";
import { placesIn } from "../../setup/places.mjs";
import { dueParts } from "../../setup/set-up.mjs";
import { keyOf, openState } from "../../setup/state.mjs";

const parent = mkdtempSync(path.join(os.tmpdir(), "embedge-setup-"));
let root = parent;
beforeEach(() => {
  root = mkdtempSync(path.join(parent, "root-"));
});
afterAll(() => rmSync(parent, { recursive: true, force: true }));

function write(name: string, text: string): string {
  const file = path.join(root, name);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, text);
  return file;
}

describe("Node", () => {
  test.each([
    ["20.20.2", false],
    ["22.17.1", false],
    ["22.18.0", true],
    ["23.5.0", false],
    ["23.6.0", true],
    ["24.0.0", true],
    ["26.1.0", true],
  ])("%s runs TypeScript unbuilt: %s (C21)", (version, runs) => {
    expect(runsTypeScript(version)).toBe(runs);
  });

  test("the link to the project's own Node is relative, and made anew where it points elsewhere", () => {
    const places = placesIn(root);
    const binary = write(`.embedge/node24/node_modules/node-linux-${process.arch}/bin/node`, "binary");
    write("node_modules/.bin/node", "something else");
    linkOwnNode(places, "linux");
    linkOwnNode(places, "linux");
    expect(readFileSync(places.nodeLink, "utf8")).toBe("binary");
    expect(statSync(places.nodeLink).ino).toBe(statSync(binary).ino);
  });
});

describe("Python (C05, C06)", () => {
  const good: PythonReport = {
    version: [3, 12, 1],
    implementation: "CPython",
    bits: 64,
    platform: "linux",
    machine: "x86_64",
    musl: false,
    glibc: "2.35",
    freeThreaded: false,
    ensurepip: true,
    executable: "/usr/bin/python3.12",
  };

  test("a usual one is fit", () => {
    expect(whyUnfit(good)).toBeUndefined();
    expect(whyUnfit({ ...good, platform: "darwin", machine: "arm64" })).toBeUndefined();
  });

  test.each<[Partial<PythonReport>, RegExp]>([
    [{ version: [3, 9, 18] }, /3\.9\.18; 3\.10 or later/],
    [{ version: [2, 7, 18] }, /2\.7\.18; 3\.10 or later/],
    [{ version: [3, 15, 0] }, /3\.10 to 3\.14/],
    [{ implementation: "PyPy" }, /PyPy/],
    [{ bits: 32 }, /32-bit/],
    [{ freeThreaded: true }, /free-threaded/],
    [{ platform: "darwin", machine: "x86_64" }, /Apple silicon.*Intel Mac/],
    [{ machine: "ppc64le" }, /ppc64le/],
    [{ platform: "win32" }, /win32/],
    [{ musl: true }, /musl.*Alpine/],
    [{ glibc: "2.31" }, /glibc 2\.31.*2\.35/],
    [{ ensurepip: false }, /sudo apt install python3\.12-venv/],
  ])("%o is told in one sentence", (difference, sentence) => {
    expect(whyUnfit({ ...good, ...difference })).toMatch(sentence);
  });

  test("a name that is no program is told with the command that mends it", async () => {
    const failure = toSetupError(await findPython("/nowhere/python3").catch((error: unknown) => error));
    expect(failure).toMatchObject({ exitCode: 69, output: ["/nowhere/python3: not found"] });
    expect(failure.mend).toContain("EMBEDGE_SETUP_PYTHON=");
  });

  test("a program that is no Python is told, not trusted", async () => {
    const failure = toSetupError(await findPython("true").catch((error: unknown) => error));
    expect(failure.output).toEqual(["true: is not Python"]);
  });

  test("one that never answers is given up", async () => {
    const stuck = write("python3", "#!/bin/sh\nexec sleep 60\n");
    chmodSync(stuck, 0o755);
    const failure = toSetupError(await findPython(stuck, 500).catch((error: unknown) => error));
    expect(failure.output).toEqual([`${stuck}: gave no answer in 0.5 s`]);
  });
});

describe("npm packages", () => {
  const lock = {
    "": { version: "0.1.0" },
    "node_modules/hono": { version: "4.0.0" },
    "node_modules/vitest": { version: "5.0.0", dev: true },
    "node_modules/either": { version: "1.0.0", devOptional: true },
  };

  test("serving needs what is not for development", () => {
    expect(Object.keys(selectEntries(lock, "serve"))).toEqual(["node_modules/hono"]);
  });

  test("tests need all", () => {
    expect(Object.keys(selectEntries(lock, "test"))).toHaveLength(3);
  });

  test("a package for another platform is not missed, one for this platform is, once it is deleted", () => {
    const wanted = { "node_modules/native": { version: "1.0.0", optional: true } };
    expect(whyIncomplete(wanted, {}, () => false)).toBeUndefined();
    expect(whyIncomplete(wanted, wanted, () => false)).toMatch(/native is missing/);
  });

  test("a package in another version, one that is not installed and one that was deleted are each found", () => {
    const wanted = { "node_modules/hono": { version: "4.0.0" } };
    expect(whyIncomplete(wanted, wanted, () => true)).toBeUndefined();
    expect(whyIncomplete(wanted, { "node_modules/hono": { version: "3.0.0" } }, () => true)).toMatch(/is not 4\.0\.0/);
    expect(whyIncomplete(wanted, {}, () => true)).toMatch(/is not 4\.0\.0/);
    expect(whyIncomplete(wanted, wanted, () => false)).toMatch(/hono is missing/);
  });
});

describe("what has to be made again", () => {
  test("nothing, as long as the key and the files are as they were", () => {
    const state = openState(placesIn(root));
    state.record("model", "key", [write("model.bin", "weights")]);
    expect(state.whyDue("model", "key")).toBeUndefined();
  });

  test.each<[string, (file: string) => void]>([
    ["deleted", (file) => rmSync(file)],
    ["cut short", (file) => writeFileSync(file, "weig")],
    ["changed in place", (file) => utimesSync(file, 1, 1)],
  ])("a part with a file that was %s", (_, damage) => {
    const state = openState(placesIn(root));
    const file = write("model.bin", "weights");
    state.record("model", "key", [file]);
    damage(file);
    expect(state.whyDue("model", "key")).toBe("model.bin is missing or was changed");
  });

  test("a part whose lock file changed", () => {
    const state = openState(placesIn(root));
    const lock = write("a.lock", "one");
    state.record("model", keyOf([lock]), []);
    write("a.lock", "two");
    expect(state.whyDue("model", keyOf([lock]))).toMatch(/lock file/);
  });

  test("nothing, where any key will do", () => {
    const state = openState(placesIn(root));
    state.record("environment", "/opt/python3", []);
    expect(state.whyDue("environment", undefined)).toBeUndefined();
    expect(state.whyDue("environment", "/other/python3")).toMatch(/version changed/);
  });

  test("all, when the record of it cannot be read", () => {
    const places = placesIn(root);
    const state = openState(places);
    state.record("model", "key", []);
    writeFileSync(places.stateFile, '{"model":');
    expect(state.whyDue("model", "key")).toBe("not set up yet");
  });

  test("a part that lives inside another one, when that one is made again", () => {
    const part = (name: string, why: string | undefined, inside?: string): Part => ({
      name,
      label: name,
      after: [],
      whyDue: () => why,
      make: () => Promise.resolve(),
      ...(inside === undefined ? {} : { inside }),
    });
    const parts = [part("environment", "gone"), part("packages", undefined, "environment"), part("model", undefined)];
    expect(dueParts(parts).map(({ name }) => name)).toEqual(["environment", "packages"]);
  });

  test("the model, when a file has another content than its hash says", async () => {
    write("m/a.json", "{}");
    const files = { "a.json": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a" };
    expect(await firstWrongFile(path.join(root, "m"), files)).toBeUndefined();
    write("m/a.json", "[]");
    expect(await firstWrongFile(path.join(root, "m"), files)).toBe("a.json");
  });
});

describe("failures", () => {
  test.each([
    ["npm error code ENOTFOUND", 69, /cannot be reached/],
    ["WARNING: Retrying after connection broken by 'NewConnectionError", 69, /cannot be reached/],
    ["npm error code EINTEGRITY", 69, /not the one that the lock file names/],
    [
      "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.",
      69,
      /not the one that the lock file names/,
    ],
    ["npm error code ENOSPC", 73, /disk is full/],
    ["OSError: [Errno 30] Read-only file system: '/x'", 73, /read-only/],
    ["npm error code EACCES", 77, /may not write/],
    ["npm error code SELF_SIGNED_CERT_IN_CHAIN", 69, /certificate/],
    ["ERROR: No matching distribution found for mlx==0.32.4", 69, /no package for this Python/],
  ])("%s is explained and mended", (line, exitCode, message) => {
    const failure = explainFailure("Installing", [line]);
    expect(failure).toMatchObject({ exitCode, message: expect.stringMatching(message), output: [line] });
    expect(failure.mend).not.toBe("");
  });

  test("a bug keeps its stack", () => {
    const failure = toSetupError(new TypeError("x is not a function"));
    expect(failure).toMatchObject({
      exitCode: 70,
      output: expect.arrayContaining([expect.stringContaining("parts.test.ts")]),
    });
  });
});

test("the lock file holds every platform's packages, without which npm refuses it elsewhere", () => {
  for (const folder of ["../..", "../../setup/node24"]) {
    const text = readFileSync(path.join(import.meta.dirname, folder, "package-lock.json"), "utf8");
    const { packages } = JSON.parse(text) as {
      packages: Record<string, { optionalDependencies?: Record<string, string> }>;
    };
    const isLocked = (from: string, name: string): boolean => {
      const place = from === "" ? "" : `${from}/`;
      if (packages[`${place}node_modules/${name}`] !== undefined) return true;
      return from !== "" && isLocked(from.slice(0, Math.max(0, from.lastIndexOf("/node_modules/"))), name);
    };
    const missing = Object.entries(packages).flatMap(([from, { optionalDependencies = {} }]) =>
      Object.keys(optionalDependencies).filter((name) => !isLocked(from, name)),
    );
    expect(missing).toEqual([]);
  }
});
