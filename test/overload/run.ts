/** `npm run overload -- --seconds 30`: three and ten times the measured capacity for so long each; prints what happened as JSON. */
import { parseArgs } from "node:util";
import { runOverload } from "./overload.ts";

const { values } = parseArgs({
  options: { seconds: { type: "string", default: "30" }, help: { type: "boolean" } },
});
if (values.help === true) process.stdout.write("npm run overload -- [--seconds 30]\n");
else process.stdout.write(`${JSON.stringify(await runOverload([3, 10], Number(values.seconds)), null, 2)}\n`);
