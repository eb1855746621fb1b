"""Frames on fd 3, both directions: u32 head bytes, u32 body bytes (little-endian), JSON head, body."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from embed_worker.errors import ProtocolBroken

if TYPE_CHECKING:
    from collections.abc import Mapping

PROTOCOL = 1
HEAD_BYTES_MAX = 64 * 1024
BODY_BYTES_MAX = 64 * 1024 * 1024

_LENGTHS = struct.Struct("<II")


class ByteSource(Protocol):
    """What frames are read from: an unbuffered binary file."""

    def readinto(self, buffer: memoryview, /) -> int | None:
        """Fill some of the buffer; 0 at the end."""


class ByteSink(Protocol):
    """Where frames are written to: an unbuffered binary file."""

    def write(self, data: memoryview, /) -> int | None:
        """Take some of the bytes; the number taken."""


@dataclass(frozen=True)
class Frame:
    """One message. `head` has at least a `type`."""

    head: Mapping[str, Any]
    body: bytes | bytearray = b""


def encode_frame(frame: Frame) -> bytes:
    """Bytes of one frame."""
    head = json.dumps(frame.head, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    return b"".join((_LENGTHS.pack(len(head), len(frame.body)), head, frame.body))


def read_frame(source: ByteSource, body_bytes_max: int = BODY_BYTES_MAX) -> Frame | None:
    """Read the next frame; None when the channel ends between two frames.

    Raises ProtocolBroken on a length past the limits (before it is allocated), on an end inside a frame,
    and on a head that is not a JSON object with a `type`.
    """
    lengths = _read_exactly(source, _LENGTHS.size)
    if lengths is None:
        return None
    head_bytes, body_bytes = _LENGTHS.unpack(lengths)
    if head_bytes > HEAD_BYTES_MAX or body_bytes > body_bytes_max:
        raise ProtocolBroken(f"a frame claims {head_bytes} bytes of head and {body_bytes} of body")
    head, body = _read_exactly(source, head_bytes), _read_exactly(source, body_bytes)
    if head is None or body is None:
        raise ProtocolBroken("the channel ended inside a frame")
    return Frame(_parse_head(head), body)


def write_frame(sink: ByteSink, frame: Frame) -> None:
    """Write one whole frame, however small the pieces that the channel takes."""
    rest = memoryview(encode_frame(frame))
    while rest:
        rest = rest[sink.write(rest) or 0 :]


def _parse_head(head: bytearray) -> Mapping[str, Any]:
    try:
        parsed = json.loads(head)
    except (ValueError, RecursionError) as error:
        raise ProtocolBroken("the head of a frame is not JSON") from error
    if not isinstance(parsed, dict) or not isinstance(parsed.get("type"), str):
        raise ProtocolBroken("the head of a frame is not an object with a type")
    return parsed


def _read_exactly(source: ByteSource, size: int) -> bytearray | None:
    """Read `size` bytes; None at a clean end before the first of them, ProtocolBroken at an end after it."""
    buffer = bytearray(size)
    rest = memoryview(buffer)
    while rest:
        count = source.readinto(rest)
        if not count:
            if len(rest) == size:
                return None
            raise ProtocolBroken("the channel ended inside a frame")
        rest = rest[count:]
    return buffer
