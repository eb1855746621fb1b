import { expect, test } from "vitest";
import { configSchema, type Config } from "../../runtime/config/schema.ts";
import { sizePool, type Machine } from "../../runtime/config/installation.ts";

const linux = (cores: number): Machine => ({ cores, platform: "linux", arch: "x64" });
const mac: Machine = { cores: 10, platform: "darwin", arch: "arm64" };
const config = (pool: object, batch: object = {}): Config => configSchema.parse({ pool, batch });

test.each([
  [1, 1],
  [2, 2],
  [16, 4],
])("on %i cores without a GPU there are %i workers", (cores, workers) => {
  expect(sizePool(config({}), linux(cores))).toMatchObject({
    device: "cpu",
    workers,
    permits: 4,
    tokensMax: 512,
    paddedTokensMax: 8_192,
  });
});

test("on Metal there is one worker, with all permits and bigger batches", () => {
  const tokens = { tokensMax: 16_384, paddedTokensMax: 16_384 };
  expect(sizePool(config({}), mac)).toEqual({ device: "gpu", workers: 1, permits: 4, ...tokens });
});

test("there are never more workers than permits", () => {
  expect(sizePool(config({ permits: 1 }), linux(4)).workers).toBe(1);
  expect(sizePool(config({ permits: 3, workers: 8 }), linux(4)).workers).toBe(3);
});

test("what is set is kept", () => {
  const batch = { tokensMax: 300, paddedTokensMax: 512 };
  const sized = sizePool(config({ workers: 2, permits: 6, device: "cpu" }, batch), mac);
  expect(sized).toEqual({ device: "cpu", workers: 2, permits: 6, ...batch });
});
