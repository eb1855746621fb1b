/** A model that can be pulled from a hub. */
export interface CatalogueModel {
  /** What it is called here: its folder under `models.dir`. */
  readonly name: string;
  /** OWNER/NAME on the hub. */
  readonly repository: string;
  /** Branch, tag or commit. */
  readonly revision: string;
  /** Other names under which it answers once it is served. */
  readonly aliases: readonly string[];
}

const catalogue: readonly CatalogueModel[] = [
  known("qwen3-0.6b-4bit", "mlx-community/Qwen3-Embedding-0.6B-4bit-DWQ"),
  known("gemma-300m-4bit", "mlx-community/embeddinggemma-300m-4bit"),
  known("bge-small-en-v1.5", "BAAI/bge-small-en-v1.5", "@cf/baai/bge-small-en-v1.5"),
  known("bge-base-en-v1.5", "BAAI/bge-base-en-v1.5", "@cf/baai/bge-base-en-v1.5"),
  known("bge-large-en-v1.5", "BAAI/bge-large-en-v1.5", "@cf/baai/bge-large-en-v1.5"),
  known("bge-m3", "BAAI/bge-m3", "@cf/baai/bge-m3"),
  known("qwen3-embedding-0.6b", "Qwen/Qwen3-Embedding-0.6B", "@cf/qwen/qwen3-embedding-0.6b"),
  known("embeddinggemma-300m", "google/embeddinggemma-300m", "@cf/google/embeddinggemma-300m"),
];

/** The models that have a name of their own here. */
export function listCatalogue(): readonly CatalogueModel[] {
  return catalogue;
}

/** OWNER/NAME, or OWNER/NAME@REVISION. */
const HUB_ID = /^(?<repository>\w[\w.-]*\/\w[\w.-]*)(?:@(?<revision>\w[\w.-]*))?$/;

/** The model that a name, one of its aliases or a hub id means; undefined where it is none of these. */
export function findInCatalogue(name: string): CatalogueModel | undefined {
  const entry = catalogue.find((model) => model.name === name || model.aliases.includes(name));
  if (entry !== undefined) return entry;
  const { repository, revision = "main" } = HUB_ID.exec(name)?.groups ?? {};
  return repository === undefined ? undefined : { name, repository, revision, aliases: [] };
}

function known(name: string, repository: string, ...platformNames: readonly string[]): CatalogueModel {
  return { name, repository, revision: "main", aliases: [...platformNames, repository] };
}
