import { Counter, Gauge, Histogram, Registry } from "prom-client";

/** Read when a scrape asks. */
export interface MetricSources {
  /** Inputs that wait. */
  readonly queueInputs: () => number;
  readonly readyWorkers: () => number;
  /** Every model that is served. */
  readonly models: () => readonly {
    readonly model: string;
    readonly memoryBytes: number;
    readonly workersReady: number;
  }[];
}

export interface Metrics {
  /** `route` must come from a closed set: a route's pattern or "unmatched". */
  requestFinished(request: { readonly route: string; readonly status: number; readonly ms: number }): void;
  /** A call came to its first permit after so long. */
  permitWaited(ms: number): void;
  batchFinished(batch: { readonly inputs: number; readonly ms: number }): void;
  /** `code` is one of the error catalogue. */
  rejected(code: string): void;
  /** `model` is the own name of one that is served; `outcome`: "loaded", "failed" or "unloaded". */
  modelMoved(model: string, outcome: string): void;
  /** `reason` is one of the pool's fixed words. */
  workerLost(reason: string): void;
  /** A connection over the maximum was closed unheard. */
  connectionDropped(): void;
  /** Prometheus text. */
  read(): Promise<{ readonly contentType: string; readonly text: string }>;
}

/** From an answer out of memory, about 1 ms, to the longest wait that clients bear. */
const LATENCY_BUCKETS_S = [
  0.001, 0.0015, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1,
  1.5, 2, 3, 5, 10, 30, 60,
];

/** The numbers of one host, in a registry of its own: several hosts may live in one process. */
export function createMetrics(sources: MetricSources): Metrics {
  const registry = new Registry();
  const registers = [registry];
  const requests = new Counter({
    name: "embedding_requests_total",
    help: "Requests answered, by route and status.",
    labelNames: ["route", "status"],
    registers,
  });
  const latency = new Histogram({
    name: "embedding_latency_seconds",
    help: "From a request's arrival to the beginning of its answer.",
    labelNames: ["route"],
    buckets: LATENCY_BUCKETS_S,
    registers,
  });
  const permitWait = new Histogram({
    name: "embedding_gil_wait_seconds",
    help: "Wait of a call for its first permit: the right to run one batch on one worker.",
    buckets: LATENCY_BUCKETS_S,
    registers,
  });
  const batchInputs = new Histogram({
    name: "embedding_batch_inputs",
    help: "Inputs in one batch.",
    buckets: [1, 2, 4, 8, 16, 32, 64, 128, 256],
    registers,
  });
  const batchSeconds = new Histogram({
    name: "embedding_batch_seconds",
    help: "From sending a batch to a worker to its vectors.",
    buckets: LATENCY_BUCKETS_S,
    registers,
  });
  const rejections = new Counter({
    name: "embedding_rejections_total",
    help: "Requests answered with a failure, by code of the error catalogue.",
    labelNames: ["code"],
    registers,
  });
  const losses = new Counter({
    name: "embedding_worker_losses_total",
    help: "Workers that went away, by reason; each but the stopped ones is started again.",
    labelNames: ["reason"],
    registers,
  });
  const dropped = new Counter({
    name: "embedding_connections_dropped_total",
    help: "Connections over server.connectionsMax, which were closed unheard.",
    registers,
  });
  addGauges(registers, sources);

  return {
    requestFinished({ route, status, ms }) {
      requests.inc({ route, status });
      latency.observe({ route }, ms / 1_000);
    },
    permitWaited: (ms) => permitWait.observe(ms / 1_000),
    batchFinished({ inputs, ms }) {
      batchInputs.observe(inputs);
      batchSeconds.observe(ms / 1_000);
    },
    rejected: (code) => rejections.inc({ code }),
    ...createModelMetrics(registers, sources),
    connectionDropped: () => dropped.inc(),
    workerLost: (reason) => losses.inc({ reason }),
    read: async () => ({ contentType: registry.contentType, text: await registry.metrics() }),
  };
}

function addGauges(registers: Registry[], sources: MetricSources): void {
  const queueDepth: Gauge = new Gauge({
    name: "embedding_queue_depth",
    help: "Inputs that wait for a permit.",
    registers,
    collect: () => queueDepth.set(sources.queueInputs()),
  });
  const readyWorkers: Gauge = new Gauge({
    name: "embedding_ready_workers",
    help: "Workers that can serve.",
    registers,
    collect: () => readyWorkers.set(sources.readyWorkers()),
  });
}

function createModelMetrics(registers: Registry[], { models }: MetricSources): Pick<Metrics, "modelMoved"> {
  const memory: Gauge = new Gauge({
    name: "embedding_model_memory_bytes",
    help: "Memory of a model's workers, measured when they were ready; 0 for a model that is not loaded.",
    labelNames: ["model"],
    registers,
    collect() {
      for (const { model, memoryBytes } of models()) memory.set({ model }, memoryBytes);
    },
  });
  const workers: Gauge = new Gauge({
    name: "embedding_model_ready_workers",
    help: "Workers that can serve, by the model they hold.",
    labelNames: ["model"],
    registers,
    collect() {
      for (const { model, workersReady } of models()) workers.set({ model }, workersReady);
    },
  });
  const moves = new Counter({
    name: "embedding_model_moves_total",
    help: "Models that were loaded, could not be, or were unloaded to make room.",
    labelNames: ["model", "outcome"],
    registers,
  });
  return { modelMoved: (model, outcome) => moves.inc({ model, outcome }) };
}
