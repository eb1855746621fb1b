import { expect, test } from "vitest";
import { runSoak } from "./soak.ts";

test("thousands of requests leave no descriptor, no timer and little memory behind, and every counter adds up (Q07)", async () => {
  const requests = 20_000;
  const result = await runSoak(requests, 10_000);
  expect(result).toMatchObject({ requests, failures: 0, queueDepth: 0 });
  expect(result.counted).toEqual({ requests, waits: requests, inputs: requests });
  // Caches that were just dropped and filled again make 20 MB of difference; a leak of 2 KB a request shows.
  expect(result.grownLiveBytes).toBeLessThan(32 << 20);
  expect(result.descriptors[1] ?? 0).toBeLessThanOrEqual((result.descriptors[0] ?? 0) + 1);
  expect(result.timers[1]).toBeLessThanOrEqual(result.timers[0] + 1);
});
