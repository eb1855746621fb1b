import { checkClasses } from "./share-laws.ts";
import type { Batch, BatchBudget, SchedulerLimits } from "../../runtime/scheduler/events.ts";
import { type BookedInput, type BookedWorker, type Books, law, paddedTokensOf, tokensOf } from "./books.ts";

/** A batch about to start, and where. */
export interface Start {
  readonly worker: BookedWorker;
  readonly batch: Batch;
  readonly limits: SchedulerLimits;
  readonly flightsLeft: number;
}

/** The laws for a batch at the moment it starts, with its inputs still in the queue. */
export function checkStart(books: Books, start: Start): void {
  const { batch, limits, worker } = start;
  const lookAhead = limits.lookAheadInputsMax ?? 0;
  const inputs = books.waitingOf(batch);
  law(inputs.length > 0 && inputs.length === batch.inputs.length, "a batch holds what does not wait");
  if (books.tenants > 1) {
    if (lookAhead === 0) checkClasses(books, inputs);
  } else if (lookAhead > 0) checkLookAhead(books, inputs, limits);
  else law(isPrefix(books.queue, inputs), "a batch is not the head of the queue");
  checkBudget(batch, inputs, books.budget(limits));
  law(worker.flights.length < worker.permits, "a batch was started without a permit");
  checkSuspects(worker, inputs);
  checkChoice(books, start);
  if (inputs[0]?.suspect === true) books.count("suspects alone");
  books.count("batch");
}

/** The laws for permits once an event has been handled. */
export function checkNothingIdle(books: Books, limits: SchedulerLimits): void {
  const [head] = books.queue;
  if (head === undefined) return;
  const isFull = !head.suspect && fullBatchWaits(books, books.budget(limits));
  for (const { flights, permits } of books.workers.values()) {
    law(flights.length > 0 || permits === 0, "a worker is idle while inputs wait");
    const isOpen = flights.length < permits && flights[0]?.inputs[0]?.suspect !== true;
    law(!isOpen || !isFull, "a permit is free while a full batch waits");
  }
}

function fullBatchWaits(books: Books, budget: BatchBudget): boolean {
  if (books.tenants > 1) return false;
  if ((budget.lookAheadInputsMax ?? 0) === 0) return books.largestBatch(budget).full;
  return books.reach(budget) < books.queue.length;
}

function isPrefix(queue: readonly BookedInput[], inputs: readonly BookedInput[]): boolean {
  return inputs.every((input, position) => queue[position] === input);
}

/** The head is taken, nobody is passed over too often or by one of the same length, and padding is cheap. */
function checkLookAhead(books: Books, inputs: readonly BookedInput[], limits: SchedulerLimits): void {
  const places = inputs.map((input) => books.queue.indexOf(input));
  law(places[0] === 0, "a batch is without the head of the queue");
  law(
    places.every((place, position) => position === 0 || place > (places[position - 1] ?? 0)),
    "a batch is not in the order of the queue",
  );
  for (const [place, input] of books.queue.slice(0, places.at(-1)).entries()) {
    if (places.includes(place)) continue;
    const passing = inputs.filter((_, position) => (places[position] ?? 0) > place);
    const isAgreed = input.passedOver + passing.length <= (limits.lookAheadInputsMax ?? 0);
    law(isAgreed, "an input was passed over more often than agreed");
    law(!passing.some(({ tokens }) => tokens === input.tokens), "an input was passed over by one of the same length");
    books.count("pass");
  }
  law(paddedTokensOf(inputs) / tokensOf(inputs) <= 1.15, "a batch is mostly padding");
}

function checkBudget(batch: Batch, inputs: readonly BookedInput[], limits: BatchBudget): void {
  const paddedTokens = paddedTokensOf(inputs);
  law(batch.paddedTokens === paddedTokens, "a batch misstates its cost");
  law(inputs.length <= limits.inputsMax, "a batch has too many inputs");
  const isWithin = paddedTokens <= limits.paddedTokensMax && tokensOf(inputs) <= (limits.tokensMax ?? Infinity);
  law(inputs.length === 1 || isWithin, "a batch is over its token budget");
  const isOneKey = inputs.every(({ of }) => of.call.batchKey === batch.batchKey);
  law(isOneKey, "a batch mixes keys");
}

function isIdle({ flights, permits }: BookedWorker): boolean {
  return flights.length === 0 && permits > 0;
}

/** Idle workers first, each with its share; a busy one only gets what nobody could join. */
function checkChoice(books: Books, { batch, worker, limits, flightsLeft }: Start): void {
  law(flightsLeft > 0, "more batches run than may");
  const idle = Math.min([...books.workers.values()].filter(isIdle).length, flightsLeft);
  if (idle > 0) {
    law(worker.flights.length === 0, "a busy worker got a batch while another was idle");
    law(batch.inputs.length <= Math.ceil(books.queue.length / idle), "an idle worker took the share of another");
    return;
  }
  const budget = books.budget(limits);
  if ((limits.lookAheadInputsMax ?? 0) > 0 || books.tenants > 1) {
    const longest = batch.paddedTokens / batch.inputs.length;
    const isFilled =
      batch.inputs.length === limits.inputsMax ||
      longest * (batch.inputs.length + 1) > budget.paddedTokensMax ||
      tokensOf(books.waitingOf(batch)) >= (budget.tokensMax ?? Infinity);
    const isAllInReach = books.reach(budget) === books.queue.length;
    const couldJoin = books.tenants > 1 ? batch.inputs.length === books.queue.length : isAllInReach;
    law(isFilled || !couldJoin, "a batch that others could join was sent to a busy worker");
  } else {
    const { count, full } = books.largestBatch(budget);
    law(full && batch.inputs.length === count, "a batch that others could join was sent to a busy worker");
  }
  books.count("prefetch");
}

function checkSuspects(worker: BookedWorker, inputs: readonly BookedInput[]): void {
  const company = worker.flights.flatMap((flight) => flight.inputs);
  if (!inputs.some(({ suspect }) => suspect)) {
    law(!company.some(({ suspect }) => suspect), "a batch shares the worker of suspects");
    return;
  }
  const isHalved = inputs.every(({ suspect, shareMax }) => suspect && inputs.length <= shareMax);
  law(isHalved, "suspects share a batch with others or were not halved");
  law(company.length === 0, "suspects share a worker with others");
}
