import { array, assert, float, oneof, property } from "fast-check";
import { expect, test } from "vitest";
import { toFloat32Decimal } from "../../runtime/routing/float32-decimal.ts";
import { encodeRow } from "../../runtime/routing/float32-json.ts";

const decode = (bytes: Uint8Array): unknown => JSON.parse(new TextDecoder().decode(bytes));

test("any float32 is written as the number that toFloat32Decimal gives", () => {
  const any = float({ noNaN: true, noDefaultInfinity: true });
  const small = float({ noNaN: true, min: Math.fround(-1), max: 1 });
  assert(
    property(array(oneof(small, any), { minLength: 1 }), (values) => {
      const data = Float32Array.from(values);
      // JSON has a minus zero, and JSON.parse keeps it.
      const wanted = Array.from(data, (value) => toFloat32Decimal(value) + 0);
      expect((decode(encodeRow(data)) as number[]).map((value) => value + 0)).toEqual(wanted);
    }),
    { numRuns: 2_000 },
  );
});

test("numbers near 1, and the smallest and largest there are", () => {
  const data = Float32Array.of(1, -1, 0.99999994, 0.5, -0.1, 1e-13, 1e-12, 9.9999998e-14, 1e-6, 3.4e38, 1e-45);
  expect(decode(encodeRow(data))).toEqual(Array.from(data, toFloat32Decimal));
});

test("a row is a list, in order", () => {
  expect(new TextDecoder().decode(encodeRow(Float32Array.of(0.5, 0.25, -0.5, 0.125)))).toBe("[0.5,0.25,-0.5,0.125]");
  expect(decode(encodeRow(new Float32Array()))).toEqual([]);
});
