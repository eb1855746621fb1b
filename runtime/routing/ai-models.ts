import type { AiModel } from "../../functions/_types.ts";
import type { ServedModel } from "../embedder/embedder.ts";

/** What is served, as Workers AI lists its models; an alias is a model of its own there. `search`: a part of the name. */
export function listModels(models: readonly ServedModel[], search = ""): readonly AiModel[] {
  const all = models.flatMap(({ name, aliases, info }) =>
    [name, ...aliases].map((known) => ({
      id: known,
      name: known,
      description: known === name ? "Served on this machine." : `Answered by ${name}, on this machine.`,
      task: { name: "Text Embeddings" },
      tags: [],
      properties: info === undefined ? [] : [{ property_id: "output_dimensions", value: String(info.dimensions) }],
    })),
  );
  return all.filter(({ name }) => name.toLowerCase().includes(search.toLowerCase()));
}
