import { expect, test } from "vitest";
import { type FunctionsHome, startMiniflareHome, startSocketHome } from "../doubles/functions-homes.ts";
import { until } from "../doubles/wait.ts";

const MODEL = "@cf/baai/bge-base-en-v1.5";
const homes: readonly (readonly [string, () => Promise<FunctionsHome>])[] = [
  ["on a socket", startSocketHome],
  ["in workerd", startMiniflareHome],
];

test.each(homes)("a function that runs %s while the host drains gets `draining` of env.AI (M04)", async (_, start) => {
  await using home = await start();
  const body = JSON.stringify({ model: MODEL, first: "fault:stall", second: "too late" });
  const answer = home.fetch("/twice", { method: "POST", body });
  await until("its first run has the permit", () => home.pool.running.length === 1);
  const drained = home.drain(10_000);
  home.finishAll();
  expect(await (await answer).json()).toMatch(/^3\d{3}: .* \[draining/);
  await drained;
});
