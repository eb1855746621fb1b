/** Monotonic milliseconds that count from the same instant in every process of this machine. */
export function nowOfMachineMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
