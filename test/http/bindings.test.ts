import { expect, test } from "vitest";
import { startScriptedHost } from "../doubles/scripted-host.ts";

test("a function sees its own bindings and no other's, and cannot leave anything in them (S15, S16)", async () => {
  await using served = await startScriptedHost({ vars: { OF_THE_HOST: "CANARY" } });
  const script = `export default {
    fetch(request, env) {
      const seen = { ...env, AI: typeof env.AI.run };
      let isFrozen = false;
      try { env.LEFT = "behind"; } catch { isFrozen = true; }
      return Response.json({ seen, isFrozen });
    },
  };`;
  await served.host.replaceWorkers([
    { name: "a", script, bindings: { SECRET: "of a" } },
    { name: "b", routes: ["*/b"], script, bindings: { OTHER: "of b" } },
  ]);
  const common = { EMBEDDING_MODEL: "fake-model", EMBEDDING_TEXTS_MAX: "100", AI: "function" };
  const ofA = { seen: { ...common, SECRET: "of a" }, isFrozen: true };
  const ofB = { seen: { ...common, OTHER: "of b" }, isFrozen: true };
  const ask = async (path: string): Promise<unknown> => (await fetch(served.url + path)).json();
  expect([await ask("/a"), await ask("/b"), await ask("/a")]).toEqual([ofA, ofB, ofA]);
});
