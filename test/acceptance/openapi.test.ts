import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type RealHost, startRealHost } from "../doubles/real-host.ts";
import { findRealWorker } from "../doubles/real-worker.ts";

let host: RealHost;
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "embedge-openapi-"));
  host = await startRealHost();
}, 60_000);
afterAll(async () => {
  await host.close();
  await rm(folder, { recursive: true, force: true });
});

async function served(): Promise<Record<string, unknown>> {
  return (await (await fetch(`${host.url}/openapi.json`)).json()) as Record<string, unknown>;
}

/** What a Python program printed, whether it was content or not. */
async function python(args: readonly string[], options: object = {}): Promise<string> {
  const [program] = findRealWorker().command;
  const { stdout } = await promisify(execFile)(program, ["-m", ...args], options).catch(
    (error: { readonly stdout: string }) => error,
  );
  return stdout;
}

async function validate(document: object): Promise<string> {
  const file = join(folder, "openapi.json");
  await writeFile(file, JSON.stringify(document));
  return python(["openapi_spec_validator", "--schema", "3.1", file]);
}

test("the served document is OpenAPI 3.1", async () => {
  expect(await validate(await served())).toMatch(/: OK$/m);
});

test("a document with a fault in it is none", async () => {
  expect(await validate({ ...(await served()), servers: [{ url: 5 }] })).toContain("is not of type");
});

test("schemathesis finds no answer that the document does not allow, and no 500", async () => {
  const options = ["--max-examples", "10", "--seed", "1", "--no-color", "--suppress-health-check", "all"];
  // Which dimensions and prompts there are is the model's business, which no schema can say.
  const checks = ["--exclude-checks", "positive_data_acceptance", "--warnings", "off"];
  const args = ["schemathesis.cli", "run", `${host.url}/openapi.json`, "--url", host.url, ...options, ...checks];
  const env = { ...process.env, SCHEMATHESIS_HOOKS: "schemathesis_hooks", PYTHONPATH: import.meta.dirname };
  expect(await python(args, { env, cwd: folder })).toMatch(/(\d+) generated, \1 passed$/m);
}, 300_000);
