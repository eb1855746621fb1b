import { expect, test } from "vitest";
import { runChaos } from "./chaos.ts";

test("real workers are killed, stopped and made to talk nonsense, and every request gets the vector of its text (W01, W03, W04, W06, W16, W18, W19)", async () => {
  const result = await runChaos({ seconds: 40, seed: 7, faultsMax: 10 });
  expect(result.failures).toEqual([]);
  expect(result.answered).toBeGreaterThan(100);
  expect(Object.values(result.faults).reduce((sum, count) => sum + count, 0)).toBeGreaterThan(2);
});
