import { machineMemoryBytes } from "./installation.ts";
import { listTensors, type ModelFolder, type StoredTensor } from "./model-folder.ts";
import type { Config } from "./schema.ts";

/** What is left to the host and to everything else on the machine. */
const AUTOMATIC_SHARE = 0.6;

/** A worker without a model: Python, MLX and a tokenizer take 60 to 100 MB. */
const WORKER_BYTES = 100e6;
/**
 * What a worker holds for a byte of weights: on a CPU also what loading took and the allocator keeps (308 MB for the 91 MB
 * of MiniLM, about 2 GB for the 1.8 GB of a Qwen3 0.6B).
 */
const HELD_PER_BYTE = { cpu: 1.5, gpu: 1.2 };

const BYTES_OF_FLOAT32 = 4;

/** Settles `models.memoryBytesMax`: three fifths of what the machine, or the container, has. */
export function memoryBytesMaxOf({ models }: Pick<Config, "models">): number {
  if (models.memoryBytesMax !== "auto") return models.memoryBytesMax;
  return Math.floor(machineMemoryBytes() * AUTOMATIC_SHARE);
}

/** What one worker should take with this model, as far as its files tell; a worker that is ready tells better. */
export function estimateWorkerBytes({ folder }: Pick<ModelFolder, "folder">, device: "cpu" | "gpu"): number {
  let weightBytes = 0;
  for (const [name, tensor] of listTensors(folder)) {
    weightBytes += device === "cpu" ? bytesOnCpu(name, tensor) : storedBytes(tensor);
  }
  return Math.round(WORKER_BYTES + HELD_PER_BYTE[device] * weightBytes);
}

/** On a CPU everything is float32, four-bit weights too; only the table of the tokens stays quantised. */
function bytesOnCpu(name: string, tensor: StoredTensor): number {
  const bytes = storedBytes(tensor);
  switch (tensor.dtype) {
    case "F16":
    case "BF16":
      return bytes * 2;
    case "U32":
      return name.includes("embed") ? bytes : bytes * 2 * BYTES_OF_FLOAT32;
    default:
      return bytes;
  }
}

function storedBytes({ data_offsets: [from = 0, to = 0] = [] }: StoredTensor): number {
  return Math.max(0, to - from);
}
