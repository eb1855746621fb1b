import autocannon from "autocannon";
import { openDescriptors, startSoakedHost } from "../doubles/soaked-host.ts";
import { until } from "../doubles/wait.ts";

export interface SoakResult {
  readonly requests: number;
  readonly seconds: number;
  /** Answers other than 200, errors and timeouts. */
  readonly failures: number;
  /** Resident memory, from the end of the warm-up to the end; the first 100,000 requests or so warm it up. */
  readonly grownBytes: number;
  /** Of that, what is still reachable after a full garbage collection. */
  readonly grownLiveBytes: number;
  readonly descriptors: readonly [before: number | undefined, after: number | undefined];
  readonly timers: readonly [before: number, after: number];
  /** What the host's own counters say of the requests after the warm-up. */
  readonly counted: { readonly requests: number; readonly waits: number; readonly inputs: number };
  readonly queueDepth: number;
}

const CONNECTIONS = 32;

/** So many requests of one text each over HTTP, after a warm-up, to a host in a process of its own over fake workers. */
export async function runSoak(requests: number, warmUp: number): Promise<SoakResult> {
  await using host = await startSoakedHost();
  const load = async (amount: number): Promise<autocannon.Result> =>
    autocannon({
      url: `${host.url}/api/v1/embed`,
      connections: CONNECTIONS,
      amount,
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ texts: ["one short text"] }),
    });
  const count = async (): Promise<SoakResult["counted"]> => ({
    requests: await host.metric("embedding_requests_total", /embed"/),
    waits: await host.metric("embedding_gil_wait_seconds_count"),
    inputs: await host.metric("embedding_batch_inputs_sum"),
  });
  const settled = async (): Promise<number | undefined> => {
    // Those of the load; of ours a few stay.
    const open = async (): Promise<number> => (await host.state()).active["TCPSocketWrap"] ?? 0;
    await until("the connections are gone", async () => (await open()) <= CONNECTIONS / 4);
    return openDescriptors(host.served);
  };

  await load(warmUp);
  const descriptorsBefore = await settled();
  const [before, countedBefore] = [await host.state(), await count()];
  const startMs = performance.now();
  const result = await load(requests);
  const seconds = (performance.now() - startMs) / 1_000;
  const descriptorsAfter = await settled();
  const [after, countedAfter] = [await host.state(), await count()];
  return {
    requests: result["2xx"],
    seconds,
    failures: result.non2xx + result.errors + result.timeouts,
    grownBytes: after.rssBytes - before.rssBytes,
    grownLiveBytes: after.liveBytes - before.liveBytes,
    descriptors: [descriptorsBefore, descriptorsAfter],
    timers: [before.active["Timeout"] ?? 0, after.active["Timeout"] ?? 0],
    counted: {
      requests: countedAfter.requests - countedBefore.requests,
      waits: countedAfter.waits - countedBefore.waits,
      inputs: countedAfter.inputs - countedBefore.inputs,
    },
    queueDepth: await host.metric("embedding_queue_depth"),
  };
}
