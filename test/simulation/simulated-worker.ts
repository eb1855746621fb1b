import type { Batch, WorkerId } from "../../runtime/scheduler/events.ts";
import type { Entry } from "./agenda.ts";

/** How a poisoned input does harm: it kills its worker, fails or stalls its batch, or has no valid vector. */
export type Poison = "kills" | "fails" | "stalls" | "has no vector";

/** How a batch ends. */
export type Ending = "finishes" | "kills" | "fails" | "stalls";

export interface SimulatedWorker {
  readonly id: WorkerId;
  readonly model: string | undefined;
  /** Of its model: what comes after the model has gone is void. */
  readonly epoch: number | undefined;
  readonly permits: number;
  readonly batches: Batch[];
  /** What ends the batch that runs. */
  ending: Entry | undefined;
  alive: boolean;
}
