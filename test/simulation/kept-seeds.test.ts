import { expect, test } from "vitest";
import { cutFromHead } from "../../runtime/scheduler/batch-policy.ts";
import { createScheduler } from "../../runtime/scheduler/scheduler.ts";
import keptSeeds from "./kept-seeds.json" with { type: "json" };
import { runSeed } from "./world.ts";

/** A seed that ever failed is added to kept-seeds.json, with the law that did not hold. */
test.each(keptSeeds)("seed $seed holds, which once did not: $law", ({ seed }) => {
  expect(() => runSeed(seed, { createScheduler, cutFromHead })).not.toThrow();
});
