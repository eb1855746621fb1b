import type { Batch, SchedulerLimits } from "../../runtime/scheduler/events.ts";
import { type BookedInput, type BookedWorker, type Books, law, paddedTokensOf } from "./books.ts";

/** A batch about to start, and where. */
export interface Start {
  readonly worker: BookedWorker;
  readonly batch: Batch;
  readonly limits: SchedulerLimits;
}

/** The laws for a batch at the moment it starts, with its inputs still in the queue. */
export function checkStart(books: Books, start: Start): void {
  const { batch, limits, worker } = start;
  const inputs = books.queue.slice(0, batch.inputs.length);
  const isHead = batch.inputs.every(
    ({ callId, index }, position) => inputs[position]?.of.call.id === callId && inputs[position]?.index === index,
  );
  law(batch.inputs.length > 0 && isHead, "a batch is not the head of the queue");
  checkBudget(batch, inputs, limits);
  law(worker.flights.length < worker.permits, "a batch was started without a permit");
  checkSuspects(worker, inputs);
  checkChoice(books, start);
  if (inputs[0]?.suspect === true) books.count("suspects alone");
  books.count("batch");
}

function checkBudget(batch: Batch, inputs: readonly BookedInput[], limits: SchedulerLimits): void {
  const paddedTokens = paddedTokensOf(inputs);
  law(batch.paddedTokens === paddedTokens, "a batch misstates its cost");
  law(inputs.length <= limits.inputsMax, "a batch has too many inputs");
  law(inputs.length === 1 || paddedTokens <= limits.paddedTokensMax, "a batch is over its token budget");
  const isOneKey = inputs.every(({ of }) => of.call.batchKey === batch.batchKey);
  law(isOneKey, "a batch mixes keys");
}

/** Idle workers first, each with its share; a busy one only gets what nobody could join. */
function checkChoice(books: Books, { batch, worker, limits }: Start): void {
  const idle = [...books.workers.values()].filter(({ flights }) => flights.length === 0).length;
  if (idle > 0) {
    law(worker.flights.length === 0, "a busy worker got a batch while another was idle");
    law(batch.inputs.length <= Math.ceil(books.queue.length / idle), "an idle worker took the share of another");
    return;
  }
  const { count, full } = books.largestBatch(limits);
  law(full && batch.inputs.length === count, "a batch that others could join was sent to a busy worker");
  books.count("prefetch");
}

function checkSuspects(worker: BookedWorker, inputs: readonly BookedInput[]): void {
  const company = worker.flights.flatMap((flight) => flight.inputs);
  if (!inputs.some(({ suspect }) => suspect)) {
    law(!company.some(({ suspect }) => suspect), "a batch shares the worker of suspects");
    return;
  }
  const isHalved = inputs.every(({ suspect, deathInputs }) => suspect && inputs.length <= Math.ceil(deathInputs / 2));
  law(isHalved, "suspects share a batch with others or were not halved");
  law(company.length === 0, "suspects share a worker with others");
}
