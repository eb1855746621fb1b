import { expect, test } from "vitest";
import { runFuzz } from "./fuzz.ts";

test(
  "requests made from the schemas and from raw bytes get no 5xx, hang nowhere and leave nothing open (H01, H02, H23)",
  { timeout: 120_000 },
  async () => {
    const result = await runFuzz({ requests: 15_000, raw: 15_000, seed: 1 });
    expect(result.wrong).toEqual([]);
    // So that it is no fuzzing of one refusal.
    expect(result.statuses["200"]).toBeGreaterThan(500);
    expect(result.statuses["400"]).toBeGreaterThan(500);
    expect(result.descriptors[1] ?? 0).toBeLessThanOrEqual((result.descriptors[0] ?? 0) + 32);
  },
);
