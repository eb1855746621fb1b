import { describe, expect, test } from "vitest";
import { createMetrics } from "../../runtime/observe/metrics.ts";

const sources = {
  queueInputs: () => 5,
  readyWorkers: () => 2,
  models: () => [
    { model: "small", memoryBytes: 300, workersReady: 2 },
    { model: "cold", memoryBytes: 0, workersReady: 0 },
  ],
};

async function linesAfter(act: (metrics: ReturnType<typeof createMetrics>) => void): Promise<readonly string[]> {
  const metrics = createMetrics(sources);
  act(metrics);
  return (await metrics.read()).text.split("\n");
}

describe("the metrics", () => {
  test("have the four names that dashboards of the original system expect", async () => {
    const lines = await linesAfter((metrics) => {
      metrics.requestFinished({ route: "/api/v1/embed", status: 200, ms: 4 });
      metrics.permitWaited(12);
    });
    expect(lines).toContain('embedding_requests_total{route="/api/v1/embed",status="200"} 1');
    expect(lines).toContain('embedding_latency_seconds_bucket{le="0.005",route="/api/v1/embed"} 1');
    expect(lines).toContain('embedding_latency_seconds_bucket{le="0.003",route="/api/v1/embed"} 0');
    expect(lines).toContain("embedding_queue_depth 5");
    expect(lines).toContain('embedding_gil_wait_seconds_bucket{le="0.015"} 1');
    expect(lines).toContain("embedding_gil_wait_seconds_sum 0.012");
  });

  test("count batches, failures and workers", async () => {
    const lines = await linesAfter((metrics) => {
      metrics.batchFinished({ inputs: 32, ms: 20 });
      metrics.rejected("queue_full");
      metrics.workerLost("exited");
    });
    expect(lines).toContain('embedding_batch_inputs_bucket{le="32"} 1');
    expect(lines).toContain("embedding_batch_seconds_sum 0.02");
    expect(lines).toContain('embedding_rejections_total{code="queue_full"} 1');
    expect(lines).toContain('embedding_worker_losses_total{reason="exited"} 1');
    expect(lines).toContain("embedding_ready_workers 2");
  });

  test("tell of each model what it holds and what became of it", async () => {
    const lines = await linesAfter((metrics) => {
      metrics.modelMoved("small", "loaded");
      metrics.modelMoved("cold", "failed");
    });
    expect(lines).toContain('embedding_model_memory_bytes{model="small"} 300');
    expect(lines).toContain('embedding_model_memory_bytes{model="cold"} 0');
    expect(lines).toContain('embedding_model_ready_workers{model="small"} 2');
    expect(lines).toContain('embedding_model_moves_total{model="small",outcome="loaded"} 1');
    expect(lines).toContain('embedding_model_moves_total{model="cold",outcome="failed"} 1');
  });

  test("of two hosts in one process are apart", async () => {
    const first = createMetrics(sources);
    const second = createMetrics({ ...sources, queueInputs: () => 9 });
    first.rejected("queue_full");
    expect((await second.read()).text).not.toContain("queue_full");
    expect((await second.read()).text).toContain("embedding_queue_depth 9");
  });

  test("have the content type of Prometheus", async () => {
    expect((await createMetrics(sources).read()).contentType).toContain("version=0.0.4");
  });

  test("stay below 2,000 series with every route and status there is (S27)", async () => {
    const lines = await linesAfter((metrics) => {
      for (let route = 0; route < 20; route++) {
        for (const status of [200, 400, 404, 413, 422, 429, 500, 503, 504]) {
          metrics.requestFinished({ route: `/r${route}`, status, ms: 1 });
        }
      }
    });
    expect(lines.filter((line) => line !== "" && !line.startsWith("#")).length).toBeLessThan(2_000);
  });
});
