import { AppError } from "../errors.ts";

/** Which names mean which of the models that are served here. */
export interface ModelNames {
  /** The model that answers to `name`; throws `model_not_found` with the names there are. */
  resolve(name: string): string;
  /** The other names of a model. */
  aliasesOf(model: string): readonly string[];
}

/** A model under its own name, and what it is called wherever it is served. */
export interface NamedModel {
  readonly name: string;
  readonly aliases: readonly string[];
}

/** In a configuration an alias may say "default" instead of the model's own name. */
const DEFAULT = "default";

/** `models`: those that are served, the default first; `configured`: other name → model, which is stronger than a model's own. */
export function createModelNames(
  models: readonly [NamedModel, ...NamedModel[]],
  configured: Readonly<Record<string, string>>,
): ModelNames {
  const own = new Map(models.map(({ name }) => [name, name]));
  for (const { name, aliases } of models) {
    for (const alias of aliases) if (!own.has(alias)) own.set(alias, name);
  }
  const targets = new Map(own);
  for (const [alias, target] of Object.entries(configured)) {
    // An alias of a model that is not served here stays unknown: never a silent other model.
    const model = target === DEFAULT ? models[0].name : own.get(target);
    if (model !== undefined) targets.set(alias, model);
  }
  const known = [...targets.keys()];
  return {
    resolve(name) {
      const target = targets.get(name);
      if (target === undefined) {
        throw new AppError("model_not_found", {
          param: "model",
          message: `There is no model ${JSON.stringify(name.slice(0, 128))} here. There are: ${known.join(", ")}.`,
        });
      }
      return target;
    },
    aliasesOf: (model) => known.filter((name) => name !== model && targets.get(name) === model),
  };
}
