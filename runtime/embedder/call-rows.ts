import type { BatchResult, Pooling } from "../pool/worker-pool.ts";

/** Where the rows of one call come together, in input order, from whatever batches they ran in. */
export class CallRows {
  /** Shape [texts, dimensions]; empty until the first batch has told the dimensions. */
  data: Float32Array = new Float32Array(0);
  dimensions = 0;
  pooling: Pooling = "mean";
  readonly tokenCounts: number[];
  readonly #truncated: number[] = [];

  constructor(texts: number) {
    this.tokenCounts = Array.from({ length: texts }, () => 0);
  }

  /** Indexes of the texts that were cut, ascending. */
  get truncated(): readonly number[] {
    return this.#truncated.toSorted((a, b) => a - b);
  }

  /** Copies one row of a batch to the place of the text with this index. */
  keep(index: number, result: BatchResult, row: number): void {
    const { vectors, tokenCounts, truncatedRows, pooling } = result;
    const { dimensions, data } = vectors;
    if (this.data.length === 0) this.data = new Float32Array(this.tokenCounts.length * dimensions);
    this.data.set(data.subarray(row * dimensions, (row + 1) * dimensions), index * dimensions);
    this.dimensions = dimensions;
    this.pooling = pooling;
    this.tokenCounts[index] = tokenCounts[row] ?? 0;
    if (truncatedRows.includes(row)) this.#truncated.push(index);
  }
}
