/** `node one-by-one.ts URL COUNT BODY`: sends one request after the other over one connection; prints their times as JSON, [sent, answered] each, in ms of the machine's monotonic clock. */
import { Agent, type IncomingMessage, request } from "node:http";
import { once } from "node:events";
import { nowOfMachineMs } from "./machine-clock.ts";

const [url = "", count = "1", body = ""] = process.argv.slice(2);
const agent = new Agent({ keepAlive: true, maxSockets: 1 });
const times: [sent: number, answered: number][] = [];
for (let index = 0; index < Number(count); index++) {
  const sentAtMs = nowOfMachineMs();
  const outgoing = request(url, { agent, method: "POST", headers: { "content-type": "application/json" } });
  outgoing.end(body);
  const [incoming] = (await once(outgoing, "response")) as [IncomingMessage];
  incoming.resume();
  await once(incoming, "end");
  times.push([sentAtMs, nowOfMachineMs()]);
  if (incoming.statusCode !== 200) throw new Error(`${url} answered ${incoming.statusCode}`);
}
agent.destroy();
process.stdout.write(JSON.stringify(times));
