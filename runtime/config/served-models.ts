import { modelsDirOf } from "./installation.ts";
import { findModelFolder, listInstalled, type ModelFolder } from "./model-folder.ts";
import { ConfigError, exitCodes } from "./problems.ts";
import type { Config } from "./schema.ts";

/** In `models.served`: every model that was pulled. */
const INSTALLED = "*";

export interface ServedModels {
  /** The default first; no two have the same name. */
  readonly models: readonly [ModelFolder, ...ModelFolder[]];
  /** Why installed models are left out. */
  readonly problems: readonly string[];
}

/** The models that calls may name. Throws a ConfigError for one that the settings name and that is not whole. */
export function findServedModels(config: Pick<Config, "models">): ServedModels {
  const modelsDir = modelsDirOf(config);
  const first = findModelFolder(config.models.default, modelsDir);
  const byName = new Map([[first.name, first]]);
  for (const name of config.models.served) {
    if (name === INSTALLED) continue;
    const model = findModelFolder(name, modelsDir);
    const other = byName.get(model.name);
    if (other !== undefined && other.folder !== model.folder) {
      const why = `both ${other.folder} and ${model.folder} are called ${model.name}; rename one of the folders.`;
      throw new ConfigError([`models.served: ${why}`], exitCodes.config);
    }
    byName.set(model.name, model);
  }
  const problems: string[] = [];
  for (const name of config.models.served.includes(INSTALLED) ? listInstalled(modelsDir) : []) {
    if (byName.has(name)) continue;
    try {
      byName.set(name, findModelFolder(name, modelsDir));
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      problems.push(...error.problems);
    }
  }
  const [, ...others] = byName.values();
  return { models: [first, ...others], problems };
}
