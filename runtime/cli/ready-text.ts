import type { Config } from "../config/schema.ts";
import type { Host } from "../host.ts";
import { type Compute, computeOf } from "../pool/compute.ts";

/** What a person reads once everything can serve. */
export function readyText(host: Host, url: string, { pool, server }: Pick<Config, "pool" | "server">): string {
  const { workersWanted, workers } = host.status();
  const ready = workers.filter(({ state }) => state === "ready").length;
  const workersText = `${ready < workersWanted ? `${ready} of ` : ""}${count(workersWanted, "worker")}`;
  const [first, ...others] = host.models();
  const lines = (first === undefined ? [] : [first]).map(({ name, info }) => {
    if (info === undefined) return [`  model  ${name}`];
    const { dimensions, maxTokens, pooling, device, assumptions } = info;
    return [
      `  model  ${name}: ${dimensions} dimensions, inputs up to ${maxTokens} tokens, ${pooling} pooling`,
      ...assumptions.map((assumption) => `         assumed: ${assumption}`),
      `  pool   ${workersText}, ${count(pool.permits, "permit")}, ${device}${describeCompute(computeOf(info))}`,
    ];
  });
  const key = server.keysFile === "none" ? "" : " -H 'authorization: Bearer KEY'";
  return [
    `embedge is ready on ${url}`,
    ...lines.flat(),
    ...(others.length === 0 ? [] : [`  others ${others.map(({ name }) => name).join(", ")}: loaded when asked for`]),
    `  try    curl -s ${url}/api/v1/embed${key} -d '{"texts":["hello"]}'`,
  ].join("\n");
}

function describeCompute({ fast, blas }: Compute): string {
  if (blas === undefined) return "";
  const speed = `${blas.name}, ${Math.round(blas.gflops)} GFLOP/s per worker${fast ? ", with the extra fast" : ""}`;
  return blas.slow ? `, SLOW: ${speed}; see: embedge doctor` : `, ${speed}`;
}

function count(amount: number, word: string): string {
  return `${amount} ${word}${amount === 1 ? "" : "s"}`;
}
