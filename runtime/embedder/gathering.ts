/**
 * Turns of the event loop after which what has arrived goes on, though each of them brought more. Answers that leave
 * together come back as requests over two or three turns; the first of them alone would start too small a batch.
 */
const TURNS_MAX = 4;

/**
 * Takes items one by one and passes them on together, at the first turn of the event loop that brings none: for a single
 * one that is the next, some 20 µs away. `defer` runs something when what is readable now has been read.
 */
export function createGathering<T>(
  defer: (run: () => void) => void,
  passOn: (items: readonly T[]) => void,
): (item: T) => void {
  const gathered: T[] = [];
  const look = (known: number, turn: number): void => {
    const count = gathered.length;
    if (count === known || turn === TURNS_MAX) passOn(gathered.splice(0));
    else defer(() => look(count, turn + 1));
  };
  return (item) => {
    gathered.push(item);
    if (gathered.length === 1) defer(() => look(0, 1));
  };
}
