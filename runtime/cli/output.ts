/** Words for people: the address, the model, what they asked for. */
export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** What is wrong; log lines go the same way. */
export function complain(text: string): void {
  process.stderr.write(`${text}\n`);
}
