import { AppError } from "../errors.ts";

/** Which names mean the model that runs here. */
export interface ModelNames {
  /** The model that answers to `name`; throws `model_not_found` with the names there are. */
  resolve(name: string): string;
  readonly aliases: readonly string[];
}

/** In a configuration an alias may say "default" instead of the model's own name. */
const DEFAULT = "default";

/** `served`: the model's own name; `aliases`: other name → model. */
export function createModelNames(served: string, aliases: Readonly<Record<string, string>>): ModelNames {
  const targets = new Map<string, string>([[served, served]]);
  for (const [alias, target] of Object.entries(aliases)) {
    // An alias of a model that is not served here stays unknown: never a silent other model.
    if (target === DEFAULT || target === served) targets.set(alias, served);
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
    aliases: known.filter((name) => name !== served),
  };
}
