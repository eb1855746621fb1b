/** `npm run chaos -- --seconds 300 --seed 1`: prints what happened as JSON; ends with 1 when a request was not answered rightly. */
import { parseArgs } from "node:util";
import { runChaos } from "./chaos.ts";

const HELP = "npm run chaos -- [--seconds 300] [--seed 1] [--workers 2] [--spares 1]\n";
const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "300" },
    seed: { type: "string", default: "1" },
    workers: { type: "string", default: "2" },
    spares: { type: "string", default: "1" },
    help: { type: "boolean" },
  },
});
if (values.help === true) process.stdout.write(HELP);
else {
  const options = {
    seconds: Number(values.seconds),
    seed: Number(values.seed),
    workers: Number(values.workers),
    spares: Number(values.spares),
  };
  const { recoveryMs, failures, ...result } = await runChaos(options);
  const at = (share: number): number | undefined => recoveryMs[Math.ceil(share * recoveryMs.length) - 1];
  const recovery = { batches: recoveryMs.length, p50Ms: at(0.5), p99Ms: at(0.99), maxMs: recoveryMs.at(-1) };
  process.stdout.write(`${JSON.stringify({ ...options, ...result, recovery, failures }, null, 2)}\n`);
  process.exitCode = failures.length === 0 ? 0 : 1;
}
