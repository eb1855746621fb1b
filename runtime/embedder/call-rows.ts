import type { BatchResult, Pooling } from "../pool/worker-pool.ts";

/** What all batches of one call gave, put together in input order. `data` has shape [texts, dimensions]. */
export interface DispatchResult {
  /** Of the model that ran. */
  readonly revision: string;
  readonly data: Float32Array;
  /** Each row as JSON; undefined where the pool did not write it. */
  readonly json: readonly (Uint8Array | undefined)[];
  readonly dimensions: number;
  readonly pooling: Pooling;
  readonly tokenCounts: readonly number[];
  readonly truncated: readonly number[];
  readonly queueMs: number;
  readonly batchMs: number;
}

/** Where the rows of one call come together, in input order, from whatever batches they ran in. */
export class CallRows {
  /** Empty until the first batch has told the dimensions. */
  #data: Float32Array = new Float32Array(0);
  #dimensions = 0;
  #revision = "";
  #pooling: Pooling = "mean";
  /** Each row as JSON, where the pool writes it. */
  readonly #json: (Uint8Array | undefined)[] = [];
  readonly #tokenCounts: number[];
  readonly #truncated: number[] = [];

  constructor(texts: number) {
    this.#tokenCounts = Array.from({ length: texts }, () => 0);
  }

  result(queueMs: number, batchMs: number): DispatchResult {
    return {
      revision: this.#revision,
      data: this.#data,
      json: this.#json,
      dimensions: this.#dimensions,
      pooling: this.#pooling,
      tokenCounts: this.#tokenCounts,
      truncated: this.#truncated.toSorted((a, b) => a - b),
      queueMs,
      batchMs,
    };
  }

  /** Whether a batch of another revision of the model has given some of its rows: files can change between two loads. */
  differs(revision: string): boolean {
    return this.#data.length > 0 && this.#revision !== revision;
  }

  /** Copies one row of a batch to the place of the text with this index. */
  keep(index: number, result: BatchResult & { readonly revision: string }, row: number): void {
    const { vectors, tokenCounts, truncatedRows, pooling } = result;
    const { dimensions, data } = vectors;
    if (this.#data.length === 0) this.#data = new Float32Array(this.#tokenCounts.length * dimensions);
    this.#data.set(data.subarray(row * dimensions, (row + 1) * dimensions), index * dimensions);
    this.#json[index] = vectors.json?.[row];
    this.#dimensions = dimensions;
    this.#revision = result.revision;
    this.#pooling = pooling;
    this.#tokenCounts[index] = tokenCounts[row] ?? 0;
    if (truncatedRows.includes(row)) this.#truncated.push(index);
  }
}
