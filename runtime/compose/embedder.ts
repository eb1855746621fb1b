import type { Config } from "../config/schema.ts";
import type { ServedModels } from "../config/served-models.ts";
import type { Dispatcher } from "../embedder/dispatcher.ts";
import { createEmbedder, type Embedder } from "../embedder/embedder.ts";
import { createModelNames, type ModelNames } from "../embedder/model-names.ts";
import type { ModelInfo } from "../pool/worker-pool.ts";

export interface EmbedderParts {
  readonly dispatcher: Dispatcher;
  readonly models: ServedModels["models"];
  /** Undefined until a worker has loaded the model. */
  readonly info: (model: string) => ModelInfo | undefined;
}

/** One call, from texts to vectors. Names and limits are those in force when it comes. */
export function buildEmbedder(config: Config, { dispatcher, models, info }: EmbedderParts): Embedder {
  return createEmbedder({
    dispatcher,
    names: liveNames(config, models),
    info,
    served: () =>
      dispatcher.snapshot().models.map(({ model, ...each }) => ({ name: model, info: info(model), ...each })),
    limits: {
      get callInputsMax() {
        return config.queue.inputsMax;
      },
      get textBytesMax() {
        return config.limits.textBytesMax;
      },
    },
  });
}

function liveNames(config: Config, models: ServedModels["models"]): ModelNames {
  let known: { readonly aliases: object; readonly names: ModelNames } | undefined;
  const names = (): ModelNames => {
    const { aliases } = config.models;
    if (known?.aliases !== aliases) known = { aliases, names: createModelNames(models, aliases) };
    return known.names;
  };
  return {
    resolve: (name) => names().resolve(name),
    aliasesOf: (model) => names().aliasesOf(model),
  };
}
