/** The known name that was most likely meant, or undefined when none is near. Compares without case, `-` and `_`. */
export function nearest(given: string, known: Iterable<string>): string | undefined {
  const plainGiven = plain(given);
  let best: string | undefined;
  // A third of the letters may be wrong; more than that is a guess, not a correction.
  let bestDistance = Math.max(2, Math.ceil(plainGiven.length / 3) + 1);
  for (const name of known) {
    const plainName = plain(name);
    // The end counts too, one step behind, so that `port` finds `server.port`.
    const tail = plainName.slice(-plainGiven.length);
    const distance = Math.min(editDistance(plainGiven, plainName), editDistance(plainGiven, tail) + 1);
    if (distance < bestDistance) {
      best = name;
      bestDistance = distance;
    }
  }
  return best;
}

function plain(name: string): string {
  return name.toLowerCase().replaceAll(/[-_]/g, "");
}

/** Letters to insert, delete, replace or swap with their neighbour (Damerau's distance, optimal string alignment). */
function editDistance(from: string, to: string): number {
  const rows: number[][] = [Array.from({ length: to.length + 1 }, (_, column) => column)];
  const at = (row: number, column: number): number => rows[row]?.[column] ?? Number.POSITIVE_INFINITY;
  for (let row = 1; row <= from.length; row += 1) {
    rows.push([row]);
    for (let column = 1; column <= to.length; column += 1) {
      const replaced = at(row - 1, column - 1) + (from[row - 1] === to[column - 1] ? 0 : 1);
      const swapped =
        from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1] ? at(row - 2, column - 2) + 1 : replaced;
      rows[row]?.push(Math.min(replaced, swapped, at(row - 1, column) + 1, at(row, column - 1) + 1));
    }
  }
  return at(from.length, to.length);
}
