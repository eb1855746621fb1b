import { expect, test } from "vitest";
import { nearest } from "../../runtime/config/nearest.ts";

const known = ["server.port", "server.host", "pool.permits", "queue.inputsMax", "batch.inputsMax"];

test.each([
  ["server.prot", "server.port"],
  ["pool.permit", "pool.permits"],
  ["queue.inputs_max", "queue.inputsMax"],
  ["QUEUE.INPUTSMAX", "queue.inputsMax"],
])("%s was meant to be %s", (given, meant) => {
  expect(nearest(given, known)).toBe(meant);
});

test("a key without its section finds the full one", () => {
  expect(nearest("host", known)).toBe("server.host");
});

test("a name that is like none has no nearest", () => {
  expect(nearest("colour", known)).toBeUndefined();
});

test("two letters in the wrong order are one mistake", () => {
  expect(nearest("sevrer.host", known)).toBe("server.host");
});
