import * as fc from "fast-check";
import { describe, expect, test } from "vitest";

import {
  createFrameDecoder,
  encodeFrame,
  FrameError,
  type Frame,
  type FrameHead,
  type FrameLimits,
} from "../../runtime/pool/frames.ts";

const roomy: FrameLimits = { headBytesMax: 64 * 1024, bodyBytesMax: 1 << 24 };

describe("a frame", () => {
  test("is two little-endian lengths, the head as JSON, then the body", () => {
    const bytes = encodeFrame({ type: "ping", id: 7 }, Uint8Array.of(1, 2, 3));
    expect(Buffer.from(bytes).toString("latin1")).toBe(
      '\u0016\u0000\u0000\u0000\u0003\u0000\u0000\u0000{"type":"ping","id":7}\u0001\u0002\u0003',
    );
  });

  test("comes back as it was, cut anywhere, with any neighbours (W20, W21)", () => {
    const head = fc.record({ type: fc.string({ unit: "grapheme" }), id: fc.nat() });
    const frames = fc.array(fc.record({ head, body: fc.uint8Array({ maxLength: 40 }) }), { maxLength: 6 });
    fc.assert(
      fc.property(frames, fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1 }), (sent, cuts) => {
        const bytes = Buffer.concat(sent.map((frame) => encodeFrame(frame.head, frame.body)));
        const received: Frame[] = [];
        const decode = createFrameDecoder(
          () => roomy,
          (frame) => received.push(frame),
        );
        for (let at = 0, cut = 0; at < bytes.length; cut++) {
          const length = cuts[cut % cuts.length] ?? 1;
          decode(bytes.subarray(at, at + length));
          at += length;
        }
        expect(received).toEqual(sent);
      }),
    );
  });

  test("has a body that floats fit over, however it arrived", () => {
    const floats = Float32Array.of(1.5, -2.25);
    const bytes = encodeFrame({ type: "odd head" }, new Uint8Array(floats.buffer));
    const [frame] = decodeAll(Buffer.concat([encodeFrame({ type: "x" }), bytes]));
    expect(frame?.body).toHaveLength(0);
    expect(new Float32Array(decodeAll(bytes)[0]?.body.buffer ?? new ArrayBuffer(0))).toEqual(floats);
  });
});

describe("the decoder", () => {
  test("takes 1 MiB byte by byte in linear time (W20)", () => {
    const bytes = encodeFrame({ type: "result" }, new Uint8Array(1 << 20));
    const received: Frame[] = [];
    const decode = createFrameDecoder(
      () => roomy,
      (frame) => received.push(frame),
    );
    const startMs = performance.now();
    for (let at = 0; at < bytes.length; at++) decode(bytes.subarray(at, at + 1));
    // 0.1 s on the machine it was written on; a concat per byte takes minutes.
    expect(performance.now() - startMs).toBeLessThan(2_000);
    expect(received[0]?.body).toHaveLength(1 << 20);
  });

  test("hands out 64 frames of one chunk in order (W21)", () => {
    const heads = Array.from({ length: 64 }, (_, id) => ({ type: "pong", id }));
    expect(decodeAll(Buffer.concat(heads.map((head) => encodeFrame(head)))).map(({ head }) => head)).toEqual(heads);
  });

  test("hands out the whole frames in front of a fault, then throws", () => {
    const received: FrameHead[] = [];
    const decode = createFrameDecoder(
      () => roomy,
      ({ head }) => received.push(head),
    );
    expect(() => decode(Buffer.concat([encodeFrame({ type: "good" }), prefix(0, 0)]))).toThrow(FrameError);
    expect(received).toEqual([{ type: "good" }]);
  });

  test.for([
    { what: "a body of 4 GiB", head: 20, body: 0xffff_ffff },
    { what: "a body one byte too long", head: 20, body: 1025 },
    { what: "a head one byte too long", head: 101, body: 0 },
    { what: "an empty head", head: 0, body: 0 },
  ])("refuses $what from the lengths alone (W22, W23)", ({ head, body }) => {
    const decode = createFrameDecoder(
      () => ({ headBytesMax: 100, bodyBytesMax: 1024 }),
      () => {},
    );
    expect(() => decode(prefix(head, body))).toThrow(`claims ${head} head and ${body} body bytes, of 100 and 1024`);
  });

  test("asks for its limits anew for each frame", () => {
    let bodyBytesMax = 0;
    const decode = createFrameDecoder(
      () => ({ headBytesMax: 100, bodyBytesMax }),
      () => {},
    );
    decode(encodeFrame({ type: "small" }));
    bodyBytesMax = 8;
    decode(encodeFrame({ type: "large" }, new Uint8Array(8)));
    bodyBytesMax = 7;
    expect(() => decode(encodeFrame({ type: "large" }, new Uint8Array(8)))).toThrow(FrameError);
  });

  test("shows the first eight bytes of what is no frame, printable (W17)", () => {
    expect(() => decodeAll(Buffer.from("\u001b[31mDownloading..."))).toThrow('it starts with ".[31mDow"');
  });

  test.for([
    { what: "is not JSON", head: "{" },
    { what: "is 64 KiB of open brackets (W24)", head: "[".repeat(64 * 1024) },
    { what: "is nested 32,768 deep (W24)", head: "[".repeat(32 * 1024) + "]".repeat(32 * 1024) },
    { what: "is null", head: "null" },
    { what: "is an array", head: '[{"type":"x"}]' },
    { what: "has no type", head: '{"id":1}' },
    { what: "has a type that is no string", head: '{"type":1}' },
  ])("refuses a head that $what (W23)", ({ head }) => {
    expect(() => decodeAll(Buffer.concat([prefix(head.length, 0), Buffer.from(head)]))).toThrow(FrameError);
  });

  test("refuses a head that is not UTF-8, and does not quote it (W23)", () => {
    const head = Buffer.from('{"type":"secret \u00ff"}', "latin1");
    expect(() => decodeAll(Buffer.concat([prefix(head.length, 0), head]))).toThrow(
      "the head of a frame is not JSON in UTF-8",
    );
  });
});

function decodeAll(bytes: Uint8Array): readonly Frame[] {
  const frames: Frame[] = [];
  createFrameDecoder(
    () => roomy,
    (frame) => frames.push(frame),
  )(bytes);
  return frames;
}

function prefix(headBytes: number, bodyBytes: number): Uint8Array {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt32LE(headBytes, 0);
  bytes.writeUInt32LE(bodyBytes, 4);
  return bytes;
}
