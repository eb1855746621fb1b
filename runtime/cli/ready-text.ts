import type { Host } from "../host.ts";

/** MLX's own BLAS on Linux reaches 4 to 7, OpenBLAS 50 to 200. */
const SLOW_GFLOPS = 30;

/** What a person reads once everything can serve. */
export function readyText(host: Host, url: string, permits: number): string {
  const { workersWanted } = host.status();
  const lines = host.models().map(({ name, info }) => {
    if (info === undefined) return [`  model  ${name}`];
    const { dimensions, maxTokens, pooling, device, blas, assumptions } = info;
    return [
      `  model  ${name}: ${dimensions} dimensions, inputs up to ${maxTokens} tokens, ${pooling} pooling`,
      ...assumptions.map((assumption) => `         assumed: ${assumption}`),
      `  pool   ${count(workersWanted, "worker")}, ${count(permits, "permit")}, ${device}${describeBlas(device, blas)}`,
    ];
  });
  return [
    `embedge is ready on ${url}`,
    ...lines.flat(),
    `  try    curl -s ${url}/api/v1/embed -d '{"texts":["hello"]}'`,
  ].join("\n");
}

function describeBlas(device: string, { name, gflops }: { readonly name: string; readonly gflops: number }): string {
  if (device !== "cpu" || gflops === 0) return "";
  const speed = `${name}, ${Math.round(gflops)} GFLOP/s per worker`;
  return gflops < SLOW_GFLOPS && process.platform === "linux"
    ? `, SLOW: ${speed}; no fast BLAS was found, start embedge again`
    : `, ${speed}`;
}

function count(amount: number, word: string): string {
  return `${amount} ${word}${amount === 1 ? "" : "s"}`;
}
