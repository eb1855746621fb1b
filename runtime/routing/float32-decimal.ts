/**
 * The shortest decimal that is the same float32, as a double that prints so: 0.1 for `Math.fround(0.1)`, not 0.10000000149011612.
 *
 * 6 to 9 significant digits are enough for every normal float32. A whole number divided by a power of ten is the double
 * nearest to that decimal, since both are exact; the check makes sure that rounding `value × scale` did no harm.
 */
export function toFloat32Decimal(value: number): number {
  const magnitude = Math.abs(value);
  if (magnitude >= SCALED_MIN && magnitude < SCALED_MAX) {
    for (let scale = scaleFor6Digits(magnitude), digits = 6; digits <= 9; scale *= 10, digits++) {
      const decimal = Math.round(value * scale) / scale;
      if (Math.fround(decimal) === value) return decimal;
    }
  }
  return viaText(value);
}

/** Within these the scales are powers of ten that a double holds exactly: 1e5 to 1e21. */
const SCALED_MIN = 1e-13;
const SCALED_MAX = 1;

function scaleFor6Digits(magnitude: number): number {
  let scale = 1e6;
  for (let low = 0.1; magnitude < low; low /= 10) scale *= 10;
  return scale;
}

function viaText(value: number): number {
  for (let digits = 1; digits < 9; digits++) {
    const decimal = Number(value.toPrecision(digits));
    if (Math.fround(decimal) === value) return decimal;
  }
  return Number(value.toPrecision(9));
}
