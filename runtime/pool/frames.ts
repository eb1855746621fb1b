/** One message on fd 3: u32 head bytes, u32 body bytes (little-endian), UTF-8 JSON head, body. */
export interface Frame {
  readonly head: FrameHead;
  /** Starts at byte 0 of a buffer of its own, so a Float32Array fits over it without a copy. */
  readonly body: Uint8Array<ArrayBuffer>;
}

export interface FrameHead {
  readonly type: string;
  readonly [field: string]: unknown;
}

export interface FrameLimits {
  readonly headBytesMax: number;
  readonly bodyBytesMax: number;
}

/** The bytes are not frames, or a frame is larger than it may be; the stream cannot be read any further. */
export class FrameError extends Error {
  override readonly name: string = "FrameError";
}

const PREFIX_BYTES = 8;
const EMPTY = new Uint8Array(0);
const utf8 = new TextDecoder("utf-8", { fatal: true });

/** The bytes of one frame, in one piece. */
export function encodeFrame(head: FrameHead, body: Uint8Array = EMPTY): Uint8Array {
  const headBytes = Buffer.from(JSON.stringify(head));
  const frame = Buffer.allocUnsafe(PREFIX_BYTES + headBytes.length + body.length);
  frame.writeUInt32LE(headBytes.length, 0);
  frame.writeUInt32LE(body.length, 4);
  frame.set(headBytes, PREFIX_BYTES);
  frame.set(body, PREFIX_BYTES + headBytes.length);
  return frame;
}

/**
 * Takes bytes as they arrive and calls `onFrame` for each frame that is now whole, in order.
 *
 * Each byte is copied once, into a buffer of its frame's size; `limits` is asked when the prefix is known, before anything is allocated.
 * Throws FrameError; whole frames in front of the fault have been handed out by then.
 */
export function createFrameDecoder(
  limits: () => FrameLimits,
  onFrame: (frame: Frame) => void,
): (chunk: Uint8Array) => void {
  const prefix = new Uint8Array(PREFIX_BYTES);
  let section: Uint8Array<ArrayBuffer> = prefix;
  let filled = 0;
  let bodyBytes = 0;
  let head: FrameHead | undefined;

  const finishSection = (): void => {
    filled = 0;
    if (section === prefix) {
      const lengths = readPrefix(prefix, limits());
      bodyBytes = lengths.bodyBytes;
      section = new Uint8Array(lengths.headBytes);
      return;
    }
    if (head === undefined) {
      head = parseHead(section);
      section = new Uint8Array(bodyBytes);
      if (bodyBytes > 0) return;
    }
    const frame = { head, body: section };
    head = undefined;
    section = prefix;
    onFrame(frame);
  };

  return (chunk) => {
    let offset = 0;
    while (offset < chunk.length) {
      const end = Math.min(chunk.length, offset + section.length - filled);
      section.set(offset === 0 && end === chunk.length ? chunk : chunk.subarray(offset, end), filled);
      filled += end - offset;
      offset = end;
      if (filled === section.length) finishSection();
    }
  };
}

function readPrefix(prefix: Uint8Array, limits: FrameLimits): { headBytes: number; bodyBytes: number } {
  const view = new DataView(prefix.buffer);
  const headBytes = view.getUint32(0, true);
  const bodyBytes = view.getUint32(4, true);
  if (headBytes === 0 || headBytes > limits.headBytesMax || bodyBytes > limits.bodyBytesMax) {
    throw new FrameError(
      `a frame claims ${headBytes} head and ${bodyBytes} body bytes, of ${limits.headBytesMax} and ${limits.bodyBytesMax} allowed; it starts with ${printable(prefix)}`,
    );
  }
  return { headBytes, bodyBytes };
}

/** Eight bytes are enough to recognise a library that prints to fd 3, and too few to give a text away. */
function printable(prefix: Uint8Array): string {
  return JSON.stringify(
    Buffer.from(prefix)
      .toString("latin1")
      .replaceAll(/[^ -~]/g, "."),
  );
}

function parseHead(bytes: Uint8Array): FrameHead {
  let head: unknown;
  try {
    head = JSON.parse(utf8.decode(bytes));
  } catch {
    // The parser's own message quotes the head; ours does not.
    throw new FrameError("the head of a frame is not JSON in UTF-8");
  }
  if (!isFrameHead(head)) throw new FrameError("the head of a frame is not an object with a type");
  return head;
}

function isFrameHead(value: unknown): value is FrameHead {
  return typeof value === "object" && value !== null && "type" in value && typeof value.type === "string";
}
