import * as fc from "fast-check";
import { expect, test } from "vitest";
import { createFrameDecoder, encodeFrame, FrameError, type Frame } from "../../runtime/pool/frames.ts";

const limits = { headBytesMax: 4_096, bodyBytesMax: 4_096 };
const head = fc
  .tuple(fc.string(), fc.dictionary(fc.string(), fc.jsonValue()))
  .map(([type, rest]) => ({ ...rest, type }));
const frames = fc.array(fc.tuple(head, fc.uint8Array({ maxLength: 300 })), { maxLength: 6 });

/** Feeds the bytes in pieces of the given lengths, over and over. */
function decode(bytes: Uint8Array, pieces: readonly number[]): readonly Frame[] {
  const found: Frame[] = [];
  const take = createFrameDecoder(
    () => limits,
    (frame) => found.push(frame),
  );
  for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
    const length = pieces[turn % pieces.length] ?? 1;
    take(bytes.subarray(at, at + length));
    at += length;
  }
  return found;
}

const pieces = fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 8 });

test("frames come out as they went in, however they are cut (W20, W21)", () => {
  fc.assert(
    fc.property(frames, pieces, (sent, cut) => {
      const bytes = Buffer.concat(sent.map(([one, body]) => encodeFrame(one, body)));
      const expected = sent.map(([one, body]) => ({ head: JSON.parse(JSON.stringify(one)) as unknown, body }));
      expect(decode(bytes, cut).map((frame) => ({ head: frame.head, body: new Uint8Array(frame.body) }))).toEqual(
        expected,
      );
    }),
    { numRuns: 1_000 },
  );
});

test("any bytes are frames or a FrameError, and nothing else (W16, W23)", () => {
  const broken = fc
    .tuple(frames, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 5 }))
    .map(([sent, changes]) => {
      const bytes = Buffer.concat(sent.map(([one, body]) => encodeFrame(one, body)));
      for (const [at, value] of changes) if (bytes.length > 0) bytes[at % bytes.length] = value;
      return new Uint8Array(bytes);
    });
  fc.assert(
    fc.property(fc.oneof(broken, fc.uint8Array({ maxLength: 400 })), pieces, (bytes, cut) => {
      try {
        decode(bytes, cut);
      } catch (error) {
        if (!(error instanceof FrameError)) throw error;
      }
    }),
    { numRuns: 5_000 },
  );
});
