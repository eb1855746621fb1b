import { expect, test } from "vitest";

import { fakeBatch, startFakeWorker } from "../doubles/fake-pool.ts";
import { eventsOf } from "../doubles/pool-recorder.ts";
import { until } from "../doubles/wait.ts";

test.for([
  { stream: "stderr", row: "W34" },
  { stream: "stdout", row: "W36" },
] as const)(
  "a flood on $stream never blocks the worker and is logged at 100 lines a second ($row)",
  async ({ stream }) => {
    const startAtMs = performance.now();
    await using fake = await startFakeWorker();
    const { vectors } = await fake.pool.run(fake.worker.id, fakeBatch(`fault:flood:${stream}`));
    expect(vectors.rows).toBe(1);
    await fake.pool.stop(0);
    const seconds = Math.ceil((performance.now() - startAtMs) / 1_000);
    const lines = eventsOf(fake.events, "worker_output");
    const dropped = eventsOf(fake.events, "worker_output_dropped").reduce((sum, event) => sum + event.lines, 0);
    expect(lines.length).toBeGreaterThanOrEqual(100);
    expect(lines.length).toBeLessThanOrEqual(100 * (seconds + 1));
    expect(lines[0]).toMatchObject({ stream, line: "flood flood flood flood flood flood" });
    // 32 MiB in lines of 36 bytes; what was in the pipe when the worker was stopped may be missing.
    expect(lines.length + dropped).toBeGreaterThan(900_000);
  },
);

test("a line of 4 MiB is cut at 8 KiB, and control characters are escaped (W35)", async () => {
  await using fake = await startFakeWorker();
  await fake.pool.run(fake.worker.id, fakeBatch("fault:long_line"));
  const lines = await until("both lines are logged", () => {
    const output = eventsOf(fake.events, "worker_output").map(({ line }) => line);
    return output.length === 2 && output;
  });
  expect(lines).toEqual([`${"x".repeat(8 * 1024)}…`, "\\u{1b}[31mred\\u{1b}[0m"]);
});
