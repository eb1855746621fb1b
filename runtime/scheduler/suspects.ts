import type { Input } from "./input-list.ts";

/** From its second death on, an input is a suspect: one death happens to anyone. */
const SUSPECT_DEATHS = 2;

/**
 * So many inputs in a row may be found guilty with no batch finished in between. After that the workers are to blame:
 * where every batch dies, every input dies alone sooner or later.
 */
const CONVICTIONS_MAX = 3;

/** How an input met its last death. */
export interface Death {
  /** Inputs in its batch, those of settled calls counted. */
  readonly batchInputs: number;
  /** Nothing else can have been the cause: one batch of one input. */
  readonly alone: boolean;
  /** It cost a worker, and a new one takes seconds to come; otherwise only the batch. */
  readonly lostWorker: boolean;
}

/**
 * Finds the poison among inputs that died together, by halving the batches that they share.
 *
 * A batch of n with one poison dies twice as a whole, then in halves down to one: at most log2(n) + 2 deaths. Where each
 * death costs a worker the inputs run alone at once: n short batches, but three deaths.
 */
export class Suspects {
  readonly #attemptsMax: number;
  #convictions = 0;

  constructor(attemptsMax: number) {
    this.#attemptsMax = attemptsMax;
  }

  /** A batch came back: workers can do their work, so that a death means something again. */
  batchFinished(): void {
    this.#convictions = 0;
  }

  /**
   * Records a death; says why the input must be refused, or undefined when it may run again.
   *
   * `attemptsMax` is asked only once the input dies alone, since deaths shared on the way there are the search's own
   * cost: they end by themselves and must not use up the patience with an innocent input.
   */
  judge(input: Input, death: Death): "poison_input" | "worker_failed" | undefined {
    input.deaths += 1;
    if (death.alone && isSuspect(input)) {
      if (this.#convictions < CONVICTIONS_MAX) {
        this.#convictions += 1;
        return "poison_input";
      }
      return input.deaths >= this.#attemptsMax ? "worker_failed" : undefined;
    }
    if (death.alone || input.deaths >= SUSPECT_DEATHS) {
      input.shareMax = death.lostWorker ? 1 : Math.ceil(death.batchInputs / 2);
    }
    return undefined;
  }
}

export function isSuspect(input: Input): boolean {
  return input.shareMax !== Infinity;
}
