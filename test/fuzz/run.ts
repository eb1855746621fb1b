/** `npm run fuzz -- --requests 100000 --raw 100000 --seed 1`: prints what happened as JSON; ends with 1 when something was wrong. */
import { parseArgs } from "node:util";
import { runFuzz } from "./fuzz.ts";

const { values } = parseArgs({
  options: {
    requests: { type: "string", default: "100000" },
    raw: { type: "string", default: "100000" },
    seed: { type: "string", default: "1" },
    help: { type: "boolean" },
  },
});
if (values.help === true) process.stdout.write("npm run fuzz -- [--requests 100000] [--raw 100000] [--seed 1]\n");
else {
  const options = { requests: Number(values.requests), raw: Number(values.raw), seed: Number(values.seed) };
  const result = await runFuzz(options);
  process.stdout.write(`${JSON.stringify({ ...options, ...result }, null, 2)}\n`);
  process.exitCode = result.wrong.length === 0 ? 0 : 1;
}
