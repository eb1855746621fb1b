import { assert, float, integer, property } from "fast-check";
import { expect, test } from "vitest";
import { toFloat32Decimal } from "../../runtime/routing/float32-decimal.ts";

/** The fewest digits that give the same float32 back, by trying each count. */
function digitsNeeded(value: number): number {
  let digits = 1;
  while (Math.fround(Number(value.toPrecision(digits))) !== value) digits++;
  return digits;
}

function digitsOf(value: number): number {
  const [mantissa = ""] = String(value).split("e");
  return mantissa.replace(/^-?0*\.?0*|[-.]/g, "").replace(/^(\d+?)0*$/, "$1").length;
}

test("prints any float32 with the fewest digits that give it back", () => {
  const bits = new Uint32Array(1);
  const floats = new Float32Array(bits.buffer);
  const anyFloat32 = integer({ min: 0, max: 2 ** 32 - 1 }).map((pattern) => {
    bits[0] = pattern;
    return floats[0] ?? 0;
  });
  assert(
    property(
      anyFloat32.filter((value) => Number.isFinite(value) && value !== 0),
      (value) => {
        const decimal = toFloat32Decimal(value);
        expect(Math.fround(decimal)).toBe(value);
        expect(digitsOf(decimal)).toBeLessThanOrEqual(digitsNeeded(value));
      },
    ),
    { numRuns: 20_000 },
  );
});

test("does so for numbers of the size that vectors have", () => {
  assert(
    property(
      float({ min: -1, max: 1, noNaN: true }).filter((value) => value !== 0),
      (value) => {
        const decimal = toFloat32Decimal(value);
        expect(Math.fround(decimal)).toBe(value);
        expect(digitsOf(decimal)).toBe(digitsNeeded(value));
      },
    ),
    { numRuns: 20_000 },
  );
});

test.each([
  [Math.fround(0.1), "0.1"],
  [Math.fround(-0.037_421_5), "-0.0374215"],
  [1, "1"],
  [2 ** -149, "1e-45"],
])("%d prints as %s", (value, text) => {
  expect(String(toFloat32Decimal(value))).toBe(text);
});
