import type { AiModel } from "../../functions/_types.ts";
import type { ServedModel } from "../embedder/embedder.ts";

type Properties = AiModel["properties"];

/** What is served, as Workers AI lists its models; an alias is a model of its own there. `search`: a part of the name. */
export function listModels(models: readonly ServedModel[], search = ""): readonly AiModel[] {
  const all = models.flatMap(({ name, aliases, info }) =>
    [name, ...aliases].map((known) => ({
      id: known,
      name: known,
      description: known === name ? "Served on this machine." : `Answered by ${name}, on this machine.`,
      task: { name: "Text Embeddings" },
      tags: [],
      properties: info === undefined ? [] : propertiesOf(info),
    })),
  );
  return all.filter(({ name }) => name.toLowerCase().includes(search.toLowerCase()));
}

/** The first two are Cloudflare's; the others are additions of embedge, `prompts` a list in JSON. */
function propertiesOf({ dimensions, maxTokens, pooling, prompts }: NonNullable<ServedModel["info"]>): Properties {
  return [
    { property_id: "output_dimensions", value: String(dimensions) },
    { property_id: "max_input_tokens", value: String(maxTokens) },
    { property_id: "pooling", value: pooling },
    { property_id: "prompts", value: JSON.stringify(prompts) },
  ];
}
