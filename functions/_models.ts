import type { AiModel, Env } from "./_types.ts";
import { modelOf } from "./_texts.ts";

/** A model as dialects list it. */
export interface ListedModel {
  readonly name: string;
  /** Undefined where the platform does not say, and here until a worker has loaded the model. */
  readonly dimensions: number | undefined;
  readonly tokensMax: number | undefined;
  /** Additions of embedge. */
  readonly pooling: string | undefined;
  readonly prompts: readonly string[];
  readonly isLoaded: boolean;
}

const TASK = "Text Embeddings";

/** The models that make vectors. */
export async function listModels(env: Env): Promise<readonly ListedModel[]> {
  const models = await env.AI.models({ task: TASK });
  return models.filter(({ task }) => task.name === TASK).map(toListed);
}

/** The model of this name, or the one that runs where a client names none; undefined where it is not listed. */
export async function findModel(env: Env, asked?: string | null): Promise<ListedModel | undefined> {
  const name = modelOf(env, asked);
  return (await listModels(env)).find((model) => model.name === name);
}

function toListed({ name, properties }: AiModel): ListedModel {
  const values = new Map(properties.map(({ property_id: id, value }) => [id, value]));
  const numberOf = (id: string): number | undefined => (values.has(id) ? Number(values.get(id)) : undefined);
  return {
    name,
    dimensions: numberOf("output_dimensions"),
    tokensMax: numberOf("max_input_tokens"),
    pooling: values.get("pooling"),
    prompts: JSON.parse(values.get("prompts") ?? "[]") as string[],
    isLoaded: properties.length > 0,
  };
}
