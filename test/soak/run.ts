/** `npm run soak -- --requests 1000000`: prints what happened as JSON. */
import { parseArgs } from "node:util";
import { runSoak } from "./soak.ts";

const { values } = parseArgs({
  options: {
    requests: { type: "string", default: "1000000" },
    "warm-up": { type: "string", default: "150000" },
    help: { type: "boolean" },
  },
});
if (values.help === true) process.stdout.write("npm run soak -- [--requests 1000000] [--warm-up 150000]\n");
else
  process.stdout.write(
    `${JSON.stringify(await runSoak(Number(values.requests), Number(values["warm-up"])), null, 2)}\n`,
  );
