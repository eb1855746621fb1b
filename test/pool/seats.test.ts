import { expect, test } from "vitest";
import { Seats } from "../../runtime/pool/seats.ts";
import { fakeModelInfo } from "../doubles/fake-answer.ts";

function givenSeats(...permits: readonly number[]): { seats: Seats; told: string[] } {
  const told: string[] = [];
  const seats = new Seats({
    permits,
    onSeated: (worker) => told.push(`${worker.id} takes ${worker.permits}`),
    onLeft: (id, cause) => told.push(`${id} ${cause}`),
    onPermitsChanged: (id, left) => told.push(`${id} has ${left}`),
  });
  return { seats, told };
}
const model = fakeModelInfo();

test("workers take the seats in the order in which they are ready; those beyond stand by", () => {
  const { seats, told } = givenSeats(3, 2);
  for (const id of ["c", "a", "b"]) seats.workerReady(id, model);
  expect(told).toEqual(["c takes 3", "a takes 2"]);
});

test("one that stands by takes the seat of one that is lost, in the same step (W01)", () => {
  const { seats, told } = givenSeats(3, 2);
  for (const id of ["a", "b", "spare"]) seats.workerReady(id, model);
  told.length = 0;
  seats.workerLost("b", "died");
  expect(told).toEqual(["b died", "spare takes 2"]);
});

test("where nobody stands by, the seat waits for the next that is ready", () => {
  const { seats, told } = givenSeats(3);
  seats.workerReady("a", model);
  seats.workerLost("a", "died");
  seats.workerReady("a again", model);
  expect(told).toEqual(["a takes 3", "a died", "a again takes 3"]);
});

test("nobody takes a seat any more once they are closed", () => {
  const { seats, told } = givenSeats(1);
  for (const id of ["a", "spare"]) seats.workerReady(id, model);
  seats.close();
  seats.workerLost("a", "was stopped");
  expect(told).toEqual(["a takes 1", "a was stopped"]);
});

test("one that is lost while it stands by is missed by nobody and takes no seat", () => {
  const { seats, told } = givenSeats(1);
  for (const id of ["a", "spare"]) seats.workerReady(id, model);
  seats.workerLost("spare", "died");
  seats.workerLost("a", "died");
  expect(told).toEqual(["a takes 1", "a died"]);
});

test("one that retires leaves its seat to its successor before it is gone", () => {
  const { seats, told } = givenSeats(3);
  for (const id of ["old", "new"]) seats.workerReady(id, model);
  seats.retire("old");
  seats.workerLost("old", "was replaced");
  seats.workerLost("new", "died");
  expect(told).toEqual(["old takes 3", "old has 0", "new takes 3", "old was replaced", "new died"]);
});

test("one that is silent keeps its seat and has its permits back when it speaks; one that retired has not", () => {
  const { seats, told } = givenSeats(3);
  for (const id of ["a", "b"]) seats.workerReady(id, model);
  told.length = 0;
  for (const isSilent of [true, false]) seats.workerSilent("a", isSilent);
  expect(told).toEqual(["a has 0", "a has 3"]);
  seats.retire("a");
  told.length = 0;
  seats.workerSilent("a", false);
  expect(told).toEqual([]);
});
