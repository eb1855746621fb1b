import type { LiveCall } from "./input-list.ts";

/** Below this size a few settled calls cost less than a clean-up. */
const CLEAN_UP_CALLS_MIN = 16;

/** The live calls by deadline: a binary heap. Settled calls are left in it until they surface or are the greater half. */
export class Deadlines {
  #heap: LiveCall[] = [];
  #settled = 0;

  /** Calls held, settled ones included: at most twice the live ones, or a few. */
  get size(): number {
    return this.#heap.length;
  }

  add(call: LiveCall): void {
    let index = this.#heap.length;
    while (index > 0) {
      const parentIndex = (index - 1) >> 1;
      const parent = this.#heap[parentIndex];
      if (parent === undefined || parent.deadlineAtMs <= call.deadlineAtMs) break;
      this.#heap[index] = parent;
      index = parentIndex;
    }
    this.#heap[index] = call;
  }

  /** One of the calls has settled. O(1) amortised. */
  callSettled(): void {
    this.#settled += 1;
    if (this.#heap.length < CLEAN_UP_CALLS_MIN || this.#settled * 2 <= this.#heap.length) return;
    // An array in ascending order is a heap.
    this.#heap = this.#heap.filter((call) => !call.settled).toSorted((a, b) => a.deadlineAtMs - b.deadlineAtMs);
    this.#settled = 0;
  }

  /** The live call that expires first. */
  first(): LiveCall | undefined {
    while (this.#heap[0]?.settled === true) {
      this.#removeTop();
      this.#settled -= 1;
    }
    return this.#heap[0];
  }

  #removeTop(): void {
    const last = this.#heap.pop();
    if (last === undefined || this.#heap.length === 0) return;
    let index = 0;
    for (;;) {
      const childIndex = this.#earlierChild(index);
      const child = this.#heap[childIndex];
      if (child === undefined || child.deadlineAtMs >= last.deadlineAtMs) break;
      this.#heap[index] = child;
      index = childIndex;
    }
    this.#heap[index] = last;
  }

  #earlierChild(index: number): number {
    const left = 2 * index + 1;
    const leftAtMs = this.#heap[left]?.deadlineAtMs ?? Infinity;
    const rightAtMs = this.#heap[left + 1]?.deadlineAtMs ?? Infinity;
    return rightAtMs < leftAtMs ? left + 1 : left;
  }
}
