/** What will happen in the world, by virtual time; entries of the same instant keep the order in which they were made. */
export class Agenda {
  readonly #entries: Entry[] = [];
  #made = 0;

  at(atMs: number, happen: (atMs: number) => void): Entry {
    const entry: Entry = { atMs, order: this.#made++, happen, cancelled: false };
    let low = 0;
    let high = this.#entries.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      // Latest first, so that the next entry is popped from the end.
      if ((this.#entries[middle]?.atMs ?? -Infinity) > atMs) low = middle + 1;
      else high = middle;
    }
    this.#entries.splice(low, 0, entry);
    return entry;
  }

  next(): Entry | undefined {
    for (;;) {
      const entry = this.#entries.pop();
      if (entry === undefined || !entry.cancelled) return entry;
    }
  }
}

export interface Entry {
  readonly atMs: number;
  readonly order: number;
  readonly happen: (atMs: number) => void;
  cancelled: boolean;
}
