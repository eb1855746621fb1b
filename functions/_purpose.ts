import { findModel } from "./_models.ts";
import type { Env } from "./_types.ts";
import { modelOf } from "./_texts.ts";

/** What a text is embedded for. */
export type Purpose =
  | "query"
  | "document"
  | "classification"
  | "clustering"
  | "similarity"
  | "codeQuery"
  | "codeDocument";

/** What authors of models call the prompt for a purpose, in small letters and digits; the first that a model has counts. */
const promptNames: Readonly<Record<Purpose, readonly string[]>> = {
  query: ["query", "searchquery", "retrievalquery", "s2pquery"],
  document: ["document", "searchdocument", "passage", "retrievaldocument", "retrievalpassage"],
  classification: ["classification"],
  clustering: ["clustering", "separation"],
  similarity: ["textmatching", "sts", "similarity", "sentencesimilarity", "s2squery"],
  codeQuery: ["codequery", "nl2codequery", "coderetrieval", "query", "retrievalquery"],
  codeDocument: ["codepassage", "nl2codepassage", "codedocument", "document", "passage", "retrievaldocument"],
};

/**
 * The name of the model's prompt for a purpose; undefined where it has none, as models that need none do.
 *
 * Platforms that do not list prompts have none.
 */
export async function promptNameFor(
  env: Env,
  asked: string | null | undefined,
  purpose: Purpose | undefined,
): Promise<string | undefined> {
  if (purpose === undefined) return undefined;
  let model = await findModel(env, asked);
  if (model?.isLoaded === false) {
    // A run waits until a worker has loaded the model; then its prompts are known.
    await env.AI.run(modelOf(env, asked), { text: "" });
    model = await findModel(env, asked);
  }
  const known = new Map(model?.prompts.map((name) => [name.toLowerCase().replaceAll(/[^a-z0-9]/g, ""), name]));
  const found = promptNames[purpose].find((name) => known.has(name));
  return found === undefined ? undefined : known.get(found);
}
